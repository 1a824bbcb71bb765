"""Measure how fast this machine transcribes, with a temporary server: `scrivano doctor --bench`."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path

from rich.console import Console

from scrivano.cli.model_wait import await_model
from scrivano.cli.temporary_server import temporary_server
from scrivano.client import Client

__all__ = ["Measured", "bench", "copies", "print_measured"]

# How long the second measurement should take, from the speed of the first one.
AIM_S = 40.0
MOST_COPIES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """`alone_s`: for one recording. `together_s`: for `count` of them at once. `memory_mb`: of the largest process."""

    model: str
    load_s: float
    audio_s: float
    alone_s: float
    together_s: float
    count: int
    memory_mb: int

    @property
    def hour_alone_min(self) -> float:
        """Minutes for an hour of audio, in one recording that is not longer than the measured one."""
        return 60 * self.alone_s / self.audio_s

    @property
    def hour_together_min(self) -> float:
        """Minutes for an hour of audio, if there is always enough work."""
        return 60 * self.together_s / (self.count * self.audio_s)


def bench(model: str, progress: Console) -> Measured:
    """Takes about a minute on top of the download, if the model is not there. Raises `StartError`, `ClientError`.

    The recording is the bundled one, two minutes of synthetic speech: the text does not matter for the speed.
    """
    bundled = files("scrivano") / "nano" / "recording.flac"
    with as_file(bundled) as recording, temporary_server(model) as url, Client(url, timeout=600.0) as client:
        progress.print(f"{model}: loading", markup=False)
        load_s = _seconds(lambda: _load(client, progress))
        audio_s = client.wait(client.submit(recording, queue=True)).transcript.duration  # The first one warms up.
        progress.print(f"{model}: one recording of {audio_s:.0f} s", markup=False)
        alone_s = _seconds(lambda: _transcribe(client, recording, 1))
        count = copies(alone_s)
        progress.print(f"{model}: {count} recordings at once", markup=False)
        together_s = _seconds(lambda: _transcribe(client, recording, count))
    return Measured(
        model=model,
        load_s=load_s,
        audio_s=audio_s,
        alone_s=alone_s,
        together_s=together_s,
        count=count,
        memory_mb=_largest_child_mb(),
    )


def copies(alone_s: float) -> int:
    """How many recordings take about `AIM_S`, if one takes `alone_s`; at least two."""
    return max(2, min(MOST_COPIES, round(AIM_S / max(alone_s, 0.01))))


def print_measured(console: Console, measured: Measured) -> None:
    console.print(
        f"{measured.model}: an hour of audio takes {measured.hour_alone_min:.1f} minutes in one recording,"
        f" {measured.hour_together_min:.1f} minutes with {measured.count} recordings at once",
        markup=False,
    )
    console.print(
        f"{measured.model}: loaded in {measured.load_s:.1f} s; the largest process took {measured.memory_mb} MB",
        markup=False,
    )


def _load(client: Client, progress: Console) -> None:
    client.load()
    await_model(client, progress)


def _transcribe(client: Client, recording: Path, count: int) -> None:
    """Submit the recording `count` times, and wait for all."""
    jobs = [client.submit(recording, queue=True) for _ in range(count)]
    for job_id in jobs:
        _ = client.wait(job_id).transcript


def _seconds(work: Callable[[], object]) -> float:
    started = time.monotonic()
    work()
    return time.monotonic() - started


def _largest_child_mb() -> int:
    """Of the processes that have ended: the server, and the children for which it waited. In kilobytes on Linux."""
    largest = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return round(largest / (1e6 if sys.platform == "darwin" else 1024))
