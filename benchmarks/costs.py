"""What the server costs in addition to the model: latency, memory, processor time, disk."""

from __future__ import annotations

import os
import queue
import shutil
import signal
import socket
import sqlite3
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import httpx2

from benchmarks import alone, material
from benchmarks.figures import Figure, at_most, quantile
from benchmarks.load import timed
from benchmarks.machine import cpu_seconds, resident_mb
from benchmarks.servers import RequestOptions, Scrivano, scrivano, served
from benchmarks.workloads import Bench
from scrivano.domain.chunk import Chunk, Piece
from scrivano.domain.job import Job, JobStatus, Task
from scrivano.domain.transcript import Segment, Word
from scrivano.engines.catalog import NANO_FOLDER
from scrivano.files.folder_blobs import FolderBlobs
from scrivano.store.jobs import Decoded, JobStore
from scrivano.store.outbox import Outbox
from scrivano.store.sqlite import SqliteDatabase
from scrivano.text.assembly import segments_json

HOUR = 3600.0
GIGABYTE = 1_000_000_000


class Peak:
    """The largest resident memory of the processes that `pids` returns, read 20 times a second."""

    def __init__(self, pids: Callable[[], list[int]]) -> None:
        self.mb = 0.0
        self._pids = pids
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Peak:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.05):
            for pid in self._pids():
                with suppress(OSError, IndexError):
                    self.mb = max(self.mb, resident_mb(pid))


def restart(bench: Bench) -> Iterator[Figure]:
    """From the start of the process to the first response, with a data folder that has been used before."""
    times = []
    for _ in range(6):
        server = Scrivano(bench.folder / "restart")
        server.http.get("/health").raise_for_status()
        times.append(time.monotonic() - server.began)
        server.stop()
    yield Figure(
        group="server", name="start to the first answer", value=statistics.median(times[1:]), unit="s", goal=at_most(2)
    )


def overhead(bench: Bench) -> Iterator[Figure]:
    """Submit-to-done of a ten-second clip on an idle, ready server, minus the engine's time for its audio."""
    clip = material.clip(bench.folder / "clip.wav")
    ask = RequestOptions(language=None)
    with scrivano() as server:
        server.transcribe(clip, ask)
        totals = []
        for _ in range(10):
            totals.append(timed(partial(server.transcribe, clip, ask)))
    engine = statistics.median(alone.measure(NANO_FOLDER, 10)["decode"])
    total = statistics.median(totals)
    yield Figure(
        group="server",
        name="10 s clip, submit to done, above the engine's own time",
        value=1000 * (total - engine),
        unit="ms",
        goal=at_most(250),
        detail=f"{1000 * total:.0f} ms, the engine alone {1000 * engine:.0f} ms",
    )


def latency(bench: Bench) -> Iterator[Figure]:
    """Response times while an hour is transcribed on all cores."""
    hour = bench.speech(HOUR)
    with scrivano() as server:
        job_id = server.submit(hour)
        began = time.monotonic()
        times: dict[str, list[float]] = {"/health": [], f"/jobs/{job_id}": []}
        while server.http.get(f"/jobs/{job_id}").json()["status"] not in ("done", "failed"):
            for path, taken in times.items():
                taken.append(timed(partial(server.http.get, path)))
            time.sleep(0.02)
        rtfx = HOUR / (time.monotonic() - began)
    for path, taken in times.items():
        yield Figure(
            group="server",
            name=f"GET {path.replace(job_id, '{id}')}, 99th percentile while an hour is transcribed",
            value=1000 * quantile(taken, 0.99),
            unit="ms",
            goal=at_most(20),
            detail=f"median {1000 * statistics.median(taken):.1f} ms, worst {1000 * max(taken):.1f} ms; {rtfx:.0f} x"
            " real time",
        )


def memory(bench: Bench) -> Iterator[Figure]:
    """Resident memory: the server without a model, and a media process with long recordings."""
    long = {
        "three hours of MP3": bench.speech(3 * HOUR),
        "ten hours of silence in FLAC": material.silence(bench.folder / "long.flac", 10 * HOUR),
    }
    with served() as server:
        server.http.get("/health").raise_for_status()
        yield Figure(
            group="memory",
            name="server without a model",
            value=resident_mb(server.pid),
            unit="MB",
            goal=at_most(150),
        )
        server.load()
        for name, path in long.items():
            with Peak(server.media_children) as peak:
                took = timed(partial(server.transcribe, path, RequestOptions(language=None)))
            yield Figure(
                group="memory",
                name=f"media child on {name}, at most",
                value=peak.mb,
                unit="MB",
                goal=at_most(300),
                detail=f"{took:.0f} s from submission to done",
            )


def upload(bench: Bench) -> Iterator[Figure]:
    """W5: a gigabyte: the time compared with a copy on the same disk, and the growth of the server's memory."""
    source = material.noise(bench.folder / "gigabyte.wav", GIGABYTE)
    folder = bench.folder / "copies"
    copy = folder / "copy"
    copies, durable, bare, sent, grown = [list[float]() for _ in range(5)]
    for _ in range(3):
        # All begin without an earlier copy, so with the same free memory: some virtual machines have to ask their host
        # for it, which costs more than the copy.
        for into, work in (
            (copies, partial(_copy, source, copy, sync=False)),
            (durable, partial(_copy, source, copy, sync=True)),
            (bare, partial(_receive, source, folder)),
        ):
            folder.mkdir()
            into.append(timed(work))
            shutil.rmtree(folder)
        with served() as server:
            server.http.get("/health").raise_for_status()
            before = resident_mb(server.pid)
            with Peak(lambda pid=server.pid: [pid]) as peak:  # type: ignore[misc]
                sent.append(timed(partial(server.send_raw, source)))
            grown.append(peak.mb - before)
    bench.samples["W5"] = {"cp": copies, "cp and fsync": durable, "bare socket": bare, "upload": sent}
    took, copied, synced, received = map(statistics.median, (sent, copies, durable, bare))
    yield Figure(
        group="W5",
        name="upload of 1 GB / cp and fsync",
        value=took / synced,
        goal=at_most(1.5),
        detail=f"{took:.2f} s, else {synced:.2f}; the upload is hashed, and on the disk before it is acknowledged",
    )
    yield Figure(
        group="W5", name="upload of 1 GB / cp into the page cache", value=took / copied, detail=f"cp {copied:.2f} s"
    )
    yield Figure(
        group="W5",
        name="a bare socket / cp and fsync",
        value=received / synced,
        detail="through the server's own writer, without HTTP",
    )
    yield Figure(group="W5", name="the server's memory grows by", value=max(grown), unit="MB", goal=at_most(50))


def _copy(source: Path, target: Path, *, sync: bool) -> None:
    subprocess.run(["cp", str(source), str(target)], check=True)
    if sync:
        with target.open("rb") as file:
            os.fsync(file.fileno())


PIECE_BYTES, PIECES = 1024 * 1024, 4


def _receive(source: Path, folder: Path) -> None:
    """With the server's own writer in one thread, from a plain socket in another."""
    free: queue.SimpleQueue[bytearray] = queue.SimpleQueue()
    for _ in range(PIECES):
        free.put(bytearray(PIECE_BYTES))

    def write(piece: bytearray, size: int) -> None:
        try:
            writer.write(memoryview(piece)[:size])
        finally:
            free.put(piece)

    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        subprocess.Popen([sys.executable, "-c", SENDER, str(source), str(listener.getsockname()[1])]),
        listener.accept()[0] as connection,
        FolderBlobs(folder).create("copy") as writer,
        ThreadPoolExecutor(1) as thread,
    ):
        while size := connection.recv_into(piece := free.get()):
            thread.submit(write, piece, size)
        if thread.submit(writer.commit).result().size_bytes != source.stat().st_size:
            raise RuntimeError("not all of it was written")


SENDER = """
import socket, sys
with socket.create_connection(("127.0.0.1", int(sys.argv[2]))) as connection, open(sys.argv[1], "rb") as file:
    connection.sendfile(file)
"""

JOBS = 100
# How many jobs may be open at once on a CPU: all of them are prepared, none decoded.
AT_ONCE, ROUNDS = 16, 6


def per_job(bench: Bench) -> Iterator[Figure]:
    """The server process's own processor time: its children's (media, model) is not its own.

    While the model is held up in its load, a submission is only accepted and queued. While it is held up later, jobs
    are begun and prepared; what is left for them to do is the end: store what was decoded, and publish it. What it
    costs to be asked for it is the asker's choice, and a figure of its own.
    """
    clip = material.clip(bench.folder / "clip.wav")
    with served() as server:
        server.http.post("/model/load").raise_for_status()
        engine = server.engine_child()
        os.kill(engine, signal.SIGSTOP)
        server.submit(clip)
        before = cpu_seconds(server.pid)
        job_ids = [server.submit(clip, language="en") for _ in range(JOBS)]
        accepted = cpu_seconds(server.pid)
        os.kill(engine, signal.SIGCONT)
        for job_id in job_ids:
            server.ended(job_id)
        done = cpu_seconds(server.pid)
        ends = [_end_of(server, engine, clip) for _ in range(ROUNDS)]
        asked = cpu_seconds(server.pid)
        for job_id in job_ids:
            server.http.get(f"/jobs/{job_id}").raise_for_status()
        shown = cpu_seconds(server.pid)
    accept, rest, show = (1000 * (b - a) / JOBS for a, b in ((before, accepted), (accepted, done), (asked, shown)))
    end = 1000 * sum(ends) / (ROUNDS * AT_ONCE)
    yield Figure(
        group="server",
        name="processor time of the server for a job of one clip, accept to queued and decoded to visible",
        value=accept + end,
        unit="ms",
        goal=at_most(5),
        detail=f"accept to queued {accept:.2f} ms; decoded to visible {end:.2f} ms",
    )
    yield Figure(
        group="server",
        name="all processor time of the server for such a job",
        value=accept + rest,
        unit="ms",
        detail=f"{rest:.2f} ms of it from queued to shown; {JOBS} jobs",
    )
    yield Figure(group="server", name="… for GET /jobs/{id} of it", value=show, unit="ms")


def _end_of(server: Scrivano, engine: int, clip: Path) -> float:
    """Processor seconds from the decoded batches of `AT_ONCE` jobs to the last of them being done.

    The database says when that is: to be asked would be work for the server.
    """
    os.kill(engine, signal.SIGSTOP)
    job_ids = [server.submit(clip, language="en") for _ in range(AT_ONCE)]
    while server.http.get("/health").json()["queue_depth"]:
        time.sleep(0.1)
    while server.media_children():
        time.sleep(0.1)
    with closing(sqlite3.connect(f"{server.database.as_uri()}?mode=ro", uri=True)) as database:
        before = cpu_seconds(server.pid)
        os.kill(engine, signal.SIGCONT)
        while database.execute("SELECT count(*) FROM jobs WHERE status != 'done'").fetchone()[0]:
            time.sleep(0.02)
    time.sleep(0.2)  # The recording is deleted after that.
    took = cpu_seconds(server.pid) - before
    for job_id in job_ids:
        server.ended(job_id)
    return took


WORDS, WORDS_A_SEGMENT = 100_000, 12


def long_transcript(bench: Bench) -> Iterator[Figure]:
    """A transcript of 100,000 words: the time to get it, the delay for other requests, the cost of its events."""
    folder = bench.folder / "long-transcript"
    job_id = _store_long_transcript(folder)
    server = Scrivano(folder)
    try:
        yield from _gets(server, job_id)
        yield _events(server, job_id)
    finally:
        server.stop()


def _gets(server: Scrivano, job_id: str) -> Iterator[Figure]:
    size = len(server.http.get(f"/jobs/{job_id}").content)
    times = [timed(partial(server.http.get, f"/jobs/{job_id}")) for _ in range(20)]
    yield Figure(
        group="server",
        name="GET /jobs/{id} with 100,000 words, median",
        value=1000 * statistics.median(times),
        unit="ms",
        goal=at_most(50),
        detail=f"{size / 1e6:.1f} MB of JSON; worst {1000 * max(times):.0f} ms",
    )
    with httpx2.Client(base_url=server.url) as other, _asking(f"{server.url}/jobs/{job_id}"):
        waits = [timed(partial(other.get, "/health")) for _ in range(200)]
    yield Figure(
        group="server",
        name="GET /health meanwhile, 99th percentile",
        value=1000 * quantile(waits, 0.99),
        unit="ms",
        goal=at_most(20),
        detail=f"median {1000 * statistics.median(waits):.1f} ms, worst {1000 * max(waits):.0f} ms",
    )


@contextmanager
def _asking(url: str) -> Iterator[None]:
    """Request it repeatedly until the block ends, in its own process, so that it does not slow down the measurement."""
    code = "import sys, urllib.request as r\nwhile True: r.urlopen(sys.argv[1]).read()"
    process = subprocess.Popen([sys.executable, "-c", code, url])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def _events(server: Scrivano, job_id: str) -> Figure:
    before, count = cpu_seconds(server.pid), 0
    with server.http.stream("GET", f"/jobs/{job_id}/stream", headers={"Last-Event-ID": "0"}) as response:
        for line in response.iter_lines():
            count += line.startswith("event:")
            if line == "event: done":
                break
    spent = cpu_seconds(server.pid) - before
    return Figure(
        group="server",
        name="processor time of the server for an event in a stream",
        value=1000 * spent / max(1, count),
        unit="ms",
        goal=at_most(0.1),
        detail=f"{count} events from the log",
    )


def _store_long_transcript(folder: Path) -> str:
    """A done job with a segment event for each segment, as the runner would have stored it."""
    folder.mkdir()
    job_id, duration = "00000000-0000-4000-8000-000000000000", WORDS / 2.5
    segments = [_segment(n) for n in range(WORDS // WORDS_A_SEGMENT)]
    database = SqliteDatabase.open(folder / "scrivano.db")
    now = datetime.now(UTC)
    store = JobStore(database, Outbox(database, lambda: now), lambda: now)
    job = Job(id=job_id, status=JobStatus.QUEUED, task=Task.TRANSCRIBE, created_at=now, language="en")
    store.add_job(job, audio_sha256="", audio_bytes=0)
    store.claim(job_id, 60)
    store.add_chunks(job_id, 1, [Chunk(0, (Piece(0, 16_000),))])
    told = [{"index": n, "start": one.start, "end": one.end, "text": one.text} for n, one in enumerate(segments)]
    store.store_results([Decoded(job_id=job_id, attempt=1, index=0, result=b"{}", segments=told)])
    store.publish_done(job_id, 1, segments_json(segments), language="en", duration_secs=duration)
    database.close()
    return job_id


def _segment(n: int) -> Segment:
    start = n * WORDS_A_SEGMENT / 2.5
    word = Word(text=" transcribed", start=start, end=start + 0.4, probability=0.9876)
    words = tuple(replace(word, start=start + 0.4 * k, end=start + 0.4 * (k + 1)) for k in range(WORDS_A_SEGMENT))
    text = "".join(one.text for one in words).strip()
    return Segment(start=start, end=words[-1].end, text=text, words=words, tokens=tuple(range(1000, 1016)))
