"""Power cuts at random moments: is everything stored that was acknowledged before?

`python -m torture.powercut --cuts 300`. Every write of a real process is recorded with strace; a cut is a state of the
disk that could be left of them (see `disk`). `--synchronous NORMAL` is the control: it must lose something.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path, PurePath
from typing import Literal

from scrivano.domain.chunk import Chunk, Piece
from scrivano.domain.errors import ScrivanoError
from scrivano.domain.job import Job, JobStatus, Task
from scrivano.files.folder_blobs import FolderBlobs
from scrivano.store import sqlite
from scrivano.store.database import Database
from scrivano.store.jobs import Decoded, JobStore
from scrivano.store.outbox import Outbox
from scrivano.store.sqlite import SqliteDatabase
from torture.disk import Disk, Op, calls

Synchronous = Literal["FULL", "NORMAL"]
TRACED = "openat,write,pwrite64,fsync,fdatasync,ftruncate,rename,unlink"
# Enough for several checkpoints: a job writes about 200 KB.
JOBS = 60


def upload(job_id: str) -> bytes:
    return hashlib.sha256(job_id.encode()).digest() * 1000


def transcript(job_id: str) -> bytes:
    return b"[%s]" % (job_id.encode() * 5000)


# The process that loses power.


def live(folder: Path, synchronous: Synchronous) -> None:
    """Make the writes of a server one after another, and print what it would acknowledge to its clients."""
    durable, *others = sqlite._PRAGMAS
    sqlite._PRAGMAS = (durable.replace("FULL", synchronous), *others)  # type: ignore[assignment]
    blobs = FolderBlobs(folder)
    store = _store(SqliteDatabase.open(folder / "scrivano.db"))
    for number in range(JOBS):
        _live_through(store, blobs, f"job-{number}")


def _store(rows: Database) -> JobStore:
    return JobStore(rows, Outbox(rows, _now), _now)


def _now() -> datetime:
    return datetime.now(UTC)


def _live_through(store: JobStore, blobs: FolderBlobs, job_id: str) -> None:
    with blobs.create(job_id) as writer:
        writer.write(upload(job_id))
        blob = writer.commit()
    job = Job(id=job_id, status=JobStatus.QUEUED, task=Task.TRANSCRIBE, created_at=_now(), webhook_url="http://a.test")
    store.add_job(job, audio_sha256=blob.sha256, audio_bytes=blob.size_bytes)
    _say("queued", job_id)
    store.claim(job_id, 60)
    store.add_chunks(job_id, 1, [Chunk(index, (Piece(index, index + 1),)) for index in range(3)])
    progress = {"percent": 33, "chunk": 1, "chunks_total": 3}
    store.store_results(
        [Decoded(job_id=job_id, attempt=1, index=index, result=b"x" * 5000, progress=progress) for index in range(3)]
    )
    _say("decoded", job_id)
    store.publish_done(job_id, 1, transcript(job_id), language="en", duration_secs=1.0)
    _say("done", job_id)
    blobs.delete(job_id)


def _say(step: str, job_id: str) -> None:
    os.write(1, f"{step} {job_id}\n".encode())  # One call, so that it is one line of the trace.


# The cuts.


@dataclass(slots=True)
class Found:
    """`writes`: calls that change the disk. `acknowledged`: acknowledged steps, over all cuts."""

    writes: int = 0
    syncs: int = 0
    cuts: int = 0
    acknowledged: int = 0
    lost: list[str] = field(default_factory=list)

    @property
    def cuts_that_lost(self) -> int:
        return len({entry.partition(":")[0] for entry in self.lost})


def record(folder: Path, synchronous: Synchronous) -> list[Op]:
    """The calls of a process that affect the folder. Raises `CalledProcessError` if strace is not permitted."""
    trace = folder.with_suffix(".trace")
    tracer = ["strace", "-y", "-xx", "-s", "10000000", "-e", f"trace={TRACED}", "-o", str(trace)]
    child = [sys.executable, "-m", "torture.powercut", "--live", str(folder), "--synchronous", synchronous]
    subprocess.run([*tracer, *child], check=True, stdout=subprocess.DEVNULL, cwd=Path(__file__).parents[1])
    with trace.open() as lines:
        return list(calls(lines, PurePath(folder)))


def cut(ops: list[Op], count: int, seed: int, folder: Path) -> Found:
    """Cut the power this many times, each time at another call, and check what is left in a folder."""
    lot = random.Random(seed)
    found = Found(writes=len(ops), syncs=sum(op[0] == "sync" for op in ops))
    begin = next(index for index, op in enumerate(ops) if op[0] == "say")
    moments = sorted(lot.sample(range(begin, len(ops)), min(count, len(ops) - begin)))
    disk, told = Disk(), dict[str, str]()
    for index, op in enumerate(ops):
        if moments and index == moments[0]:
            moments.pop(0)
            found.cuts += 1
            found.acknowledged += len(told)
            found.lost += [f"cut {found.cuts}: {what}" for what in _missing(disk, told, lot, folder)]
        if op[0] == "say":
            step, _, job_id = str(op[1]).strip().partition(" ")
            told[job_id] = step
        disk.do(op)
    return found


def _missing(disk: Disk, told: dict[str, str], lot: random.Random, folder: Path) -> list[str]:
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "uploads").mkdir(parents=True)
    for path, content in disk.cut_off(lot):
        if not path.name.endswith("-shm"):  # It is rebuilt from the WAL.
            (folder / ("uploads" if path.parent.name == "uploads" else "") / path.name).write_bytes(content)
    try:
        rows = SqliteDatabase.open(folder / "scrivano.db")
    except ScrivanoError as error:
        return [str(error)]
    with closing(rows):
        store = _store(rows)
        missing = [f"{step} {job_id}" for job_id, step in told.items() if not _is_there(store, folder, job_id, step)]
    with closing(sqlite3.connect(folder / "scrivano.db")) as db:
        sound = db.execute("PRAGMA integrity_check").fetchone()[0]
    return missing + ([] if sound == "ok" else [str(sound)])


def _is_there(store: JobStore, folder: Path, job_id: str, step: str) -> bool:
    """Returns whether the acknowledged step, or a later one, is stored."""
    try:
        status = store.get_job(job_id).status
    except ScrivanoError:
        return False
    if status is JobStatus.DONE:
        return store.get_result(job_id) == transcript(job_id)
    kept = folder / "uploads" / job_id
    decoded = sum(item.result is not None for item in store.chunks(job_id))
    return (
        step != "done" and (step == "queued" or decoded == 3) and kept.exists() and kept.read_bytes() == upload(job_id)
    )


def main() -> int:
    parser = argparse.ArgumentParser(description="Cuts the power of a store, and counts what that loses.")
    parser.add_argument("--cuts", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--synchronous", choices=("FULL", "NORMAL"), default="FULL")
    parser.add_argument("--live", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.live:
        live(options.live, options.synchronous)
        return 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        (folder / "lived").mkdir()
        ops = record(folder / "lived", options.synchronous)
        found = cut(ops, options.cuts, options.seed, folder / "after")
    print(f"synchronous      {options.synchronous}")
    print(f"calls            {found.writes}, of which {found.syncs} fsync")
    print(f"cuts             {found.cuts}")
    print(f"told by then     {found.acknowledged}")
    print(f"cuts that lost   {found.cuts_that_lost} {found.lost[:5]}")
    return 1 if found.lost else 0


if __name__ == "__main__":
    sys.exit(main())
