"""Helpers for tests of the store and of files."""

from __future__ import annotations

import resource
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from scrivano.domain.chunk import Chunk, Piece
from scrivano.domain.job import Job, JobStatus, Task
from scrivano.store import migrations
from scrivano.store.jobs import JobStore
from scrivano.store.outbox import Outbox
from scrivano.store.sqlite import SqliteDatabase

ADD_COLUMN = """
import sqlalchemy as sa
from alembic import op

revision = "r9999"
down_revision = "{newest}"


def upgrade():
    op.add_column("jobs", sa.Column("mood", sa.String(16)))
    {then}
"""


class Clock:
    """A `now` that changes only when a test calls `forward`."""

    def __init__(self) -> None:
        self.time = datetime(2030, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.time

    def forward(self, secs: float) -> None:
        self.time += timedelta(seconds=secs)


@contextmanager
def opened(path: Path, clock: Callable[[], datetime], schema: Path = migrations.FOLDER) -> Iterator[JobStore]:
    with closing(SqliteDatabase.open(path, schema)) as database:
        yield JobStore(database, Outbox(database, clock), clock)


def new_job(job_id: str, clock: Clock, **fields: Any) -> Job:
    return Job(id=job_id, status=JobStatus.QUEUED, task=Task.TRANSCRIBE, created_at=clock(), **fields)


def add(store: JobStore, job: Job, **fields: Any) -> str:
    return store.add_job(job, audio_sha256="ab" * 32, audio_bytes=1234, **fields)


def plan(count: int, *, first: int = 0, length: int = 800) -> list[Chunk]:
    """Chunks of two pieces each, `length` samples in all."""
    half = length // 2
    starts = range(first * 1000, (first + count) * 1000, 1000)
    return [
        Chunk(first + n, (Piece(start, start + half), Piece(start + half + 10, start + half + 10 + half)))
        for n, start in enumerate(starts)
    ]


def dump(path: Path) -> list[str]:
    """The content of a database as SQL, read without the store."""
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as db:
        return list(db.iterdump())


@contextmanager
def file_size_limit(size_bytes: int) -> Iterator[None]:
    """No file of this process may grow beyond this size, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def next_schema(folder: Path, then: str = "pass") -> Path:
    """The migrations of a later version."""
    schema = folder / "schema"
    shutil.copytree(migrations.FOLDER, schema, ignore=shutil.ignore_patterns("__pycache__"))
    text = ADD_COLUMN.format(newest=migrations.revisions()[-1], then=then)
    (schema / "versions" / "r9999.py").write_text(text)
    return schema


def query(path: Path, sql: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as db:
        return db.execute(sql).fetchall()
