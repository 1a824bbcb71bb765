"""Lists, claims and the end of jobs in a store that has very many of them, with SQLite and with PostgreSQL.

    python -m benchmarks.many_jobs --jobs 1000000 --database-url postgresql://user@host/empty-database

Without a URL: SQLite only. Nine of ten jobs are done; the others wait.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import sqlalchemy as sa

from benchmarks.figures import quantile
from scrivano.domain.job import Job, JobStatus, Priority, Task
from scrivano.store.database import Database
from scrivano.store.jobs import JobStore
from scrivano.store.outbox import Outbox
from scrivano.store.postgres import PostgresDatabase
from scrivano.store.sqlite import SqliteDatabase
from scrivano.store.tables import jobs

START = datetime(2030, 1, 1, tzinfo=UTC)
REPEATS = 100
BATCH = 10_000
WAITING_SHARE = 10


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--jobs", type=int, default=1_000_000)
    parser.add_argument("--database-url", default="")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        with closing(SqliteDatabase.open(Path(folder) / "scrivano.db")) as file:
            _measure("SQLite", file, arguments.jobs)
        if arguments.database_url:
            with closing(PostgresDatabase.open(arguments.database_url)) as shared:
                _measure("PostgreSQL", shared, arguments.jobs)


def _measure(name: str, database: Database, count: int) -> None:
    began = time.monotonic()
    _fill(database, count)
    print(f"{name}: {count} jobs in {time.monotonic() - began:.0f} s")
    now = START + timedelta(seconds=count)
    store = JobStore(database, Outbox(database, lambda: now), lambda: now)
    middle = (START + timedelta(seconds=count // 2), "")
    _report("GET /jobs: newest 50", lambda: store.list_jobs(51))
    _report("GET /jobs: 50 from the middle", lambda: store.list_jobs(51, before=middle))
    _report("GET /jobs?status=done", lambda: store.list_jobs(51, status=JobStatus.DONE))
    _report("GET /jobs of one key", lambda: store.list_jobs(51, owner="key-7"))
    _report("GET /jobs?search=", lambda: store.list_jobs(51, terms=["recording-77"]), repeats=5)
    _report("GET /jobs/{id}", lambda: store.get_job("job-77"))
    _report("jobs that are expired", lambda: store.expired(START + timedelta(seconds=100), 100))
    _report("what waits", lambda: store.claimable([None], now))
    _report("length of the queue", store.queue_depth)
    claimed: list[Job] = []

    def claim() -> None:
        job = store.claim_next([None], Priority.NORMAL, 60)
        assert job is not None
        claimed.append(job)

    def publish() -> None:
        job = claimed.pop()
        assert store.publish_done(job.id, job.attempt, b"[]", language="en", duration_secs=1.0, text="text")

    _report("claim", claim)
    _report("end of a job", publish)
    numbers = iter(range(REPEATS))
    _report("new job", lambda: store.add_job(_job(count + next(numbers)), audio_sha256="", audio_bytes=1))


def _report(what: str, call: Callable[[], object], repeats: int = REPEATS) -> None:
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        call()
        times.append(1000 * (time.perf_counter() - began))
    print(f"  {what:32} p50 {quantile(times, 0.5):8.2f} ms   p99 {quantile(times, 0.99):8.2f} ms", flush=True)


def _job(number: int) -> Job:
    return Job(
        id=f"job-{number}",
        status=JobStatus.QUEUED,
        task=Task.TRANSCRIBE,
        created_at=START + timedelta(seconds=number),
        filename=f"recording-{number}.mp3",
        owner=f"key-{number % 100}",
    )


def _fill(database: Database, count: int) -> None:
    for first in range(0, count, BATCH):
        rows = [_row(number, waits=number % WAITING_SHARE == 0) for number in range(first, min(first + BATCH, count))]
        with database.write() as db:
            db.execute(sa.insert(jobs), rows)
    if database.shared:  # as PostgreSQL does by itself, a little later
        with database.write() as db:
            db.execute(sa.text("ANALYZE"))


def _row(number: int, *, waits: bool) -> dict[str, object]:
    job = _job(number)
    row: dict[str, object] = {name: getattr(job, name) for name in Job.__dataclass_fields__}
    row |= {"options": {}, "audio_sha256": "", "audio_bytes": 1, "request_sha256": ""}
    if not waits:
        row |= {"status": JobStatus.DONE, "progress": 100, "completed_at": job.created_at, "duration_secs": 60.0}
    return row


if __name__ == "__main__":
    main()
