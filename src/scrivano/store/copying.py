"""All jobs from one database to another one: from SQLite to PostgreSQL, and back."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection, Table, func, insert, select

from scrivano.domain.errors import StartError
from scrivano.store.database import Database
from scrivano.store.tables import TABLES, buckets, dispatchers, jobs, model_requests, secrets

__all__ = ["copy_store"]

# Jobs first, because of the foreign keys of the others. What is left out is only of use to running servers.
_LEFT_OUT = (buckets, dispatchers, model_requests, secrets)
_TABLES = (jobs, *(table for table in TABLES.sorted_tables if table not in (jobs, *_LEFT_OUT)))

# No server runs these jobs, or sends these deliveries.
_RELEASED = {"lease_expires_at": None, "claimed_until": None}

# Rows at a time: a transcript may have megabytes.
BATCH = 100


def copy_store(source: Database, target: Database) -> Mapping[str, int]:
    """Copy every row, in one transaction of each database; returns how many there are of each table.

    No server may use them meanwhile. Raises `StartError` if the target has jobs or uploads already.
    """
    with source.write() as reader, target.write() as writer:
        if any(_count(writer, table) for table in _TABLES):
            raise StartError("the database to write to has jobs already: choose an empty one")
        for table in _TABLES:
            _copy(reader, writer, table)
        counts = {table.name: _count(writer, table) for table in _TABLES}
        for table in _TABLES:
            if counts[table.name] != _count(reader, table):
                raise StartError(f"the table {table.name} has changed meanwhile: stop the server, then try again")
    return counts


def _copy(reader: Connection, writer: Connection, table: Table) -> None:
    released = {name: value for name, value in _RELEASED.items() if name in table.c}
    rows = reader.execute(select(table).execution_options(yield_per=BATCH))
    for part in rows.partitions():
        writer.execute(insert(table), [row._asdict() | released for row in part])


def _count(db: Connection, table: Table) -> int:
    return db.scalar(select(func.count()).select_from(table)) or 0
