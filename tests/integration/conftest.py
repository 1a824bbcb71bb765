"""A real database, and what works over it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from postgres import Cluster
from store_support import Clock

from scrivano.store.database import Database
from scrivano.store.jobs import JobStore
from scrivano.store.outbox import Outbox
from scrivano.store.postgres import PostgresDatabase
from scrivano.store.sqlite import SqliteDatabase
from scrivano.store.tables import TABLES
from scrivano.store.uploads import UploadStore


@pytest.fixture(scope="session")
def filled_again(postgres: Cluster) -> Iterator[str]:
    """The URL of a database that all tests use, one after the other."""
    with postgres.database() as url:
        PostgresDatabase.open(url).close()
        yield url


@pytest.fixture
def postgres_url(filled_again: str) -> str:
    """The URL of an empty database, with the newest schema."""
    with closing(PostgresDatabase.open(filled_again)) as database, database.write() as db:
        db.execute(sa.text(f"TRUNCATE {', '.join(TABLES.tables)}"))
    return filled_again


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "scrivano.db"


@pytest.fixture
def full() -> list[None]:
    """Grows by one entry for each write that found the disk full."""
    return []


@pytest.fixture
def database(path: Path, full: list[None]) -> Iterator[Database]:
    with closing(SqliteDatabase.open(path, on_full=lambda: full.append(None))) as database:
        yield database


@pytest.fixture
def outbox(database: Database, clock: Clock) -> Outbox:
    return Outbox(database, clock)


@pytest.fixture
def partials(database: Database, clock: Clock) -> UploadStore:
    return UploadStore(database, clock)


@pytest.fixture
def changed() -> list[str]:
    """The ids of jobs whose event log has grown, in order."""
    return []


@pytest.fixture
def store(database: Database, outbox: Outbox, clock: Clock, changed: list[str]) -> JobStore:
    return JobStore(database, outbox, clock, on_change=changed.append)
