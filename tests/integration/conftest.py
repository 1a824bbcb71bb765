"""A real database, and what works over it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from store_support import Clock

from scrivano.store.database import Database
from scrivano.store.jobs import JobStore
from scrivano.store.outbox import Outbox
from scrivano.store.uploads import UploadStore


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
    with closing(Database.open(path, on_full=lambda: full.append(None))) as database:
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
