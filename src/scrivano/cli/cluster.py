"""`scrivano cluster demo`: a whole cluster on this machine, for a while."""

from __future__ import annotations

import os
import signal
import sys
import time
import wave
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.resources import as_file, files
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from scrivano.cli.console import ExitCode, end_as_exception, fail, stderr_console
from scrivano.domain.errors import ScrivanoError, StartError
from scrivano.domain.wording import counted

if TYPE_CHECKING:
    from scrivano.cli.local_cluster import Scrivano
    from scrivano.client import Client, JobSnapshot

__all__ = ["cluster"]

cluster = typer.Typer(name="cluster", help="Several machines, with PostgreSQL and Ray.", no_args_is_help=True)

# Seconds of the bundled recording from its start; each is transcribed as often.
LENGTHS_S = (116, 60, 40, 30, 20)
COPIES = 4

WAIT_S = 600.0

# With two nodes of three CPUs, each has room for one engine, and for preparing one recording.
NODE_CPUS, ENGINE_CPUS = 3, 2


@cluster.callback()
def _group() -> None:
    pass


@cluster.command()
def demo(
    kill: Annotated[bool, typer.Option(help="Kill one of the two nodes in the middle.")] = True,
) -> None:
    """Start PostgreSQL, an S3 server, a Ray cluster of two nodes, two servers and a dispatcher; transcribe; end it all.

    Twenty recordings, five different ones, go to both servers. One node is killed in the middle. All are transcribed,
    and equal ones equally. Takes two to three minutes on two cores.
    """
    console = stderr_console()
    signal.signal(signal.SIGTERM, end_as_exception)
    try:
        with _running(_Steps(console)) as system:
            alike = _transcribe(system, kill=kill)
    except StartError as error:
        fail(str(error), ExitCode.NO_SERVER)
    except ScrivanoError as error:
        fail(str(error), ExitCode.FAILED)
    console.print("all processes have ended, and all files are deleted", style="dim")
    raise typer.Exit(ExitCode.OK if alike else ExitCode.FAILED)


class _Steps:
    """Says what happens, with the seconds since the start."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._started_at = time.monotonic()

    def __call__(self, text: str) -> None:
        self._console.print(f"{time.monotonic() - self._started_at:6.1f} s  {text}", soft_wrap=True, markup=False)


@dataclass(frozen=True, slots=True)
class _System:
    say: _Steps
    folder: Path
    scrivano: Scrivano
    clients: Sequence[Client]


@contextmanager
def _running(say: _Steps) -> Iterator[_System]:
    """Raises `StartError`."""
    if sys.platform != "linux":
        raise StartError("the demo needs Linux: each of its nodes has a loopback address of its own")
    if find_spec("ray") is None:
        raise StartError("the demo needs Ray: pip install 'scrivano[ray,postgres,s3]'")
    from scrivano.cli.local_cluster import Scrivano, temporary_folder
    from scrivano.cli.local_postgres import private_postgres
    from scrivano.cli.local_ray import RayNodes
    from scrivano.client import Client

    with ExitStack() as stack:
        folder = stack.enter_context(temporary_folder())
        database_url = stack.enter_context(private_postgres(folder / "postgres")).url
        say("PostgreSQL runs")
        storage = _storage(folder, stack, say)
        # What nodes write is in the same folder, so that nothing is left of a killed one.
        nodes = stack.enter_context(RayNodes(folder / "ray", {**storage, "TMPDIR": str(folder)}, cpus=NODE_CPUS))
        nodes.add("node 1", "node 2")
        say(f"a Ray head at {nodes.address} and two nodes run")
        scrivano = stack.enter_context(Scrivano(folder, database_url, storage, nodes))
        threads = str(max(1, (os.cpu_count() or 2) // 2))
        engines = {"CLUSTER_ENGINES": "2", "ENGINE_CPUS": str(ENGINE_CPUS), "CPU_THREADS": threads, "BATCH_SIZE": "2"}
        dispatcher = scrivano.dispatcher("dispatcher", DISPATCHER_LISTEN="127.0.0.1:0", **engines)
        servers = [scrivano.server(name) for name in ("server 1", "server 2")]
        urls = [str(server.wait_for("listening")["url"]) for server in servers]
        dispatcher.wait_for("dispatching")
        probes = dispatcher.wait_for("answering probes")["url"]
        say(f"a dispatcher and two servers run: {' and '.join(urls)}; the dispatcher's metrics: {probes}/metrics")
        yield _System(say, folder, scrivano, [stack.enter_context(Client(url)) for url in urls])


def _storage(folder: Path, stack: ExitStack, say: _Steps) -> Mapping[str, str]:
    from scrivano.cli.local_cluster import private_s3

    if find_spec("moto") is not None and find_spec("obstore") is not None:
        storage = stack.enter_context(private_s3()).settings
        say("an S3 server runs (moto)")
        return storage
    (folder / "recordings").mkdir()
    say("there is no S3 server (moto and obstore are not installed): recordings are in a shared folder")
    return {"BLOB_URL": f"file://{folder / 'recordings'}"}


def _transcribe(system: _System, *, kill: bool) -> bool:
    """Whether all jobs are done, and those of equal recordings have equal transcripts."""
    say, (first, second) = system.say, system.clients
    recordings = _recordings(system.folder)
    jobs = [
        (recording, system.clients[number % 2].submit(recording, queue=True))
        for number, recording in enumerate(recordings * COPIES)
    ]
    say(f"{counted(len(jobs), 'recording')} sent, every other one to the second server")
    if kill:
        # Half of the jobs is late enough, however busy this machine is: the second engine starts when chunks wait.
        half = len(jobs) // 2
        _wait(lambda: _ended(second, jobs) >= (len(recordings) if _engines_ready(first) == 2 else half))
        say(f"{counted(_ended(second, jobs), 'job')} done; killing node 1, with its engine and all else on it")
        system.scrivano.ray.kill("node 1")
    killed_at = time.monotonic()
    before = _ended(second, jobs)
    _wait(lambda: _ended(second, jobs) > before)
    say(f"the next job is done {time.monotonic() - killed_at:.1f} s later")
    _wait(lambda: _ended(second, jobs) == len(jobs))
    return _report(say, [(recording, second.get(job_id)) for recording, job_id in jobs])


def _report(say: _Steps, jobs: Sequence[tuple[Path, JobSnapshot]]) -> bool:
    transcripts = defaultdict[Path, list[object]](list)
    for recording, job in jobs:
        words = [(word.text, word.start, word.end) for segment in job.segments for word in segment.words]
        transcripts[recording].append(words if job.status == "done" else job.error)
    failed = [job for _, job in jobs if job.status != "done"]
    alike = all(one == same[0] for same in transcripts.values() for one in same)
    audio_s = sum(job.duration_secs or 0 for _, job in jobs)
    say(f"{len(jobs) - len(failed)} of {counted(len(jobs), 'job')} are done, {audio_s / 60:.0f} minutes of audio")
    for job in failed:
        say(f"job {job.id}: {job.status}: {job.error}")
    for recording, same in transcripts.items():
        equal = "equal" if all(one == same[0] for one in same) else "DIFFERENT"
        say(f"{recording.stem}: {counted(len(same), 'transcript')}, {equal}")
    return alike and not failed


def _recordings(folder: Path) -> list[Path]:
    """The bundled recording, and shorter ones from its start."""
    import av

    with as_file(files("scrivano") / "nano" / "recording.flac") as path, av.open(str(path)) as container:
        stream = container.streams.audio[0]
        resampler = av.AudioResampler("s16", "mono", stream.rate)
        frames = [one for frame in container.decode(stream) for one in resampler.resample(frame)]
        data = b"".join(bytes(frame.planes[0])[: frame.samples * 2] for frame in frames)
    return [
        _wav(folder / f"{counted(seconds, 'second')}.wav", data[: 2 * stream.rate * seconds], stream.rate)
        for seconds in LENGTHS_S
    ]


def _wav(path: Path, data: bytes, rate: int) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(data)
    return path


def _engines_ready(client: Client) -> int:
    engines = client.model_status().more.get("engines") or ()
    return sum(engine["state"] == "ready" for engine in engines)


def _ended(client: Client, jobs: Sequence[tuple[Path, str]]) -> int:
    return sum(client.get(job_id).ended for _, job_id in jobs)


def _wait(condition: Callable[[], bool]) -> None:
    from scrivano.cli.local_program import wait_until

    wait_until(condition, "the jobs did not go on", WAIT_S)
