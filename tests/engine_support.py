"""Helpers for tests of the engines: recordings as samples, prepared files, the engine process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from scrivano.engines.catalog import NANO_FOLDER

RECORDINGS = Path(__file__).parent / "data" / "recordings"
RATE = 16_000
TIMEOUT_S = 240.0

__all__ = ["NANO_FOLDER", "RATE", "RECORDINGS", "TIMEOUT_S", "Wire", "described", "prepared", "samples", "worker"]


def described() -> dict[str, Mapping[str, Any]]:
    """The recordings' texts, languages and times, by file name."""
    return {item["file"]: item for item in json.loads((RECORDINGS / "recordings.json").read_text())}


def samples(name: str) -> NDArray[np.float32]:
    """A recording as 16 kHz mono float32 in [-1, 1]."""
    with av.open(str(RECORDINGS / name)) as container:
        resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
        frames = [*container.decode(audio=0), None]
        parts = [out.to_ndarray()[0] for frame in frames for out in resampler.resample(frame)]
    return np.concatenate(parts).astype(np.float32) / np.float32(32768)


def prepared(folder: Path, audio: NDArray[np.float32], name: str = "audio.s16") -> Path:
    path = folder / name
    (audio * 32768).astype("<i2").tofile(path)
    return path


class Wire:
    """A child process that exchanges JSON lines. `receive` waits for its next message, at most `TIMEOUT_S`."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process

    def send(self, message: Mapping[str, Any] | str) -> None:
        line = message if isinstance(message, str) else json.dumps(message)
        assert self.process.stdin is not None
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def receive(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"the child ended with {self.process.wait(TIMEOUT_S)}"
        message: dict[str, Any] = json.loads(line)
        return message

    def load(self, **changes: Any) -> dict[str, Any]:
        request = {
            "type": "load",
            "model": "nano",
            "path": None,
            "device": "cpu",
            "device_index": 0,
            "compute_type": "int8",
            "cpu_threads": 1,
        }
        self.send({**request, **changes})
        return self.receive()


@contextmanager
def worker(arguments: Sequence[str] = ("-m", "scrivano.engines.worker"), **environment: str) -> Iterator[Wire]:
    """The engine process; it is killed when it outlives its block or `TIMEOUT_S`."""
    process = subprocess.Popen(
        [sys.executable, "-W", "error", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, **environment},
    )
    watchdog = threading.Timer(TIMEOUT_S, process.kill)
    watchdog.start()
    try:
        yield Wire(process)
    finally:
        watchdog.cancel()
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            assert stream is not None
            stream.close()
