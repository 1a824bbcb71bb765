"""What the store needs of a database. SQLite and PostgreSQL implement it."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol

import sqlalchemy as sa

__all__ = ["Database"]


class Database(Protocol):
    """Opened and closed by `server.build`. Any thread may call.

    `shared`: other servers may use the same database at the same time.
    """

    @property
    def shared(self) -> bool: ...

    def read(self) -> AbstractContextManager[sa.Connection]:
        """A connection that sees committed data and does not wait for writers, for a `with` block.

        Raises `DatabaseUnreachable`.
        """

    def write(self) -> AbstractContextManager[sa.Connection]:
        """A write transaction, committed at the end of the block, or rolled back.

        Inside another such block of the same thread it joins that transaction. Raises `StorageFull`,
        `DatabaseUnreachable`, `WriteConflict`.
        """

    def lock(self, db: sa.Connection, *names: str) -> None:
        """Wait until no other transaction has one of these locks, and hold them until this one ends.

        For what is read first and written then, where there is no row to lock.
        """

    @property
    def in_transaction(self) -> bool:
        """Whether this thread is inside a `write` block."""

    def fault(self) -> str | None:
        """Why the database cannot be written to, and what to do; None: it can."""

    def close(self) -> None:
        """May be called twice. Other methods must not be called afterwards."""
