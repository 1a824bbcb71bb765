"""The tests of the store run on both databases."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from scrivano.store.database import Database
from scrivano.store.postgres import PostgresDatabase
from scrivano.store.sqlite import SqliteDatabase
from scrivano.store.tables import TABLES


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.slow)])
def reopen(request: pytest.FixtureRequest, path: Path, full: list[None]) -> Callable[[], Database]:
    """Opens the database of the test, as another process would."""
    if request.param == "postgres":
        url: str = request.getfixturevalue("postgres_url")
        return lambda: PostgresDatabase.open(url)
    return lambda: SqliteDatabase.open(path, on_full=lambda: full.append(None))


@pytest.fixture
def database(reopen: Callable[[], Database]) -> Iterator[Database]:
    with closing(reopen()) as database:
        yield database


@pytest.fixture
def contents(database: Database) -> Callable[[], object]:
    """Reads everything that the database contains."""

    def read() -> object:
        with database.read() as db:
            return {name: sorted(map(repr, db.execute(sa.select(table)))) for name, table in TABLES.tables.items()}

    return read
