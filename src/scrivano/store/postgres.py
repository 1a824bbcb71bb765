"""The database as a PostgreSQL server: connections, transactions, schema, and the time of its clock.

Needs the extra `postgres` (psycopg 3). Several servers of Scrivano may use one database.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from scrivano.domain.errors import DatabaseUnreachable, StartError, StorageFull, WriteConflict
from scrivano.store import migrations

__all__ = ["DatabaseClock", "PostgresDatabase"]

logger = logging.getLogger(__name__)

OLDEST_VERSION = 13

# Connections that are kept, and more while all of them are in use.
POOL, MORE = 10, 20
POOL_TIMEOUT_S = 10.0

# What a server that is frozen, or cut off, may hold up: its locks, and the others' writes.
IDLE_TRANSACTION_S = 10
STATEMENT_S = 60
LOCK_S = 20

# SQLSTATE: serialization failure, deadlock, a lock that did not come in time.
_CONFLICTS = ("40001", "40P01", "55P03")
_FULL = ("53100",)
# Connections (08), resources (53), operator intervention (57), a standby (25006), idle for too long in a transaction
# (25P03): a later attempt may succeed.
_UNREACHABLE = ("08", "53", "57", "25006", "25P03")


def connect_options() -> dict[str, Any]:
    """How each connection is made. A peer that does not answer any more is noticed within about 20 s."""
    limits = {
        "idle_in_transaction_session_timeout": IDLE_TRANSACTION_S,
        "statement_timeout": STATEMENT_S,
        "lock_timeout": LOCK_S,
    }
    return {
        "connect_timeout": 5,
        "application_name": "scrivano",
        "options": " ".join(f"-c {name}={seconds}s" for name, seconds in limits.items()),
        "keepalives_idle": 5,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 20_000,
    }


_STANDBY = "DATABASE_URL leads to a standby, which cannot be written to"


class PostgresDatabase:
    """Implements `Database`. `clock` is set to the time of the database server."""

    shared = True

    def __init__(self, engine: sa.Engine) -> None:
        """Use `PostgresDatabase.open`."""
        self._writers = engine
        self._readers = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._transaction = threading.local()
        self.clock = DatabaseClock()

    @classmethod
    def open(cls, url: str, schema: Path = migrations.FOLDER) -> PostgresDatabase:
        """Connect to the database of a URL like `postgresql://user:password@host/name`, and bring its schema to the
        newest revision of `schema`. Of several servers that start at once, one does it.

        Raises `StartError` if the database cannot be used, or was written by a later version of Scrivano.
        """
        engine, name = _engine(url)
        try:
            with engine.begin() as db:
                _check_server(db)
                _migrate(db, name, schema)
            database = cls(engine)
            database.set_clock()
            return database
        except sa.exc.DBAPIError as error:
            engine.dispose()
            raise StartError(f"cannot use the database {name}: {error.orig}".rstrip()) from error
        except BaseException:
            engine.dispose()
            raise

    @staticmethod
    def check(url: str, schema: Path = migrations.FOLDER) -> str:
        """Connect, and change nothing. Returns the URL and versions as text. Raises `StartError` as `open` does."""
        engine, name = _engine(url)
        try:
            with engine.connect() as db:
                _check_server(db)
                if db.scalar(sa.select(sa.func.pg_is_in_recovery())):
                    raise StartError(_STANDBY)
                current = migrations.current_revision(db)
                _refuse_unknown(name, current, migrations.revisions(schema))
                if not db.scalar(sa.text("SELECT has_schema_privilege(current_schema(), 'CREATE')")):
                    raise StartError(f"the user may not create tables in {name}: make it the owner of the database")
                version = ".".join(map(str, db.dialect.server_version_info or ()))
                tables = "no tables yet" if current is None else f"tables {current}"
                return f"{name}: PostgreSQL {version}, {tables}"
        except sa.exc.DBAPIError as error:
            raise StartError(f"cannot use the database {name}: {error.orig}".rstrip()) from error
        finally:
            engine.dispose()

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        with _translated(), self._readers.connect() as db:
            yield db

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        if self.in_transaction:
            yield self._transaction.connection
            return
        with _translated(), self._writers.begin() as db:
            self._transaction.connection = db
            try:
                yield db
            finally:
                self._transaction.connection = None

    def lock(self, db: sa.Connection, *names: str) -> None:
        # In one order, so that two transactions never wait for each other.
        for name in sorted(names):
            db.execute(_LOCK, {"_name": name})

    @property
    def in_transaction(self) -> bool:
        return getattr(self._transaction, "connection", None) is not None

    def fault(self) -> str | None:
        try:
            with self.write() as db:
                standby = db.scalar(sa.select(sa.func.pg_is_in_recovery()))
        except (DatabaseUnreachable, StorageFull):
            return "PostgreSQL cannot be written to: the log says why"
        return _STANDBY if standby else None

    @contextmanager
    def listen(self, channel: str) -> Iterator[Any]:
        """A psycopg connection of its own that gets the notices of a channel."""
        pooled = self._writers.raw_connection()
        pooled.detach()  # its session has state that no other user of the pool may get
        connection: Any = pooled.dbapi_connection
        try:
            connection.autocommit = True
            connection.execute(f"LISTEN {channel}")
            yield connection
        finally:
            connection.close()

    def count_listeners(self) -> int:
        """How many servers and dispatchers run: each listens all the time."""
        with self.read() as db:
            return int(db.scalar(_LISTENERS) or 0)

    def set_clock(self) -> None:
        """Read the time of the database server. Raises `DatabaseUnreachable`."""
        with self.read() as db:
            self.clock.set(db.execute(_TIME).scalar_one())

    def close(self) -> None:
        self._writers.dispose()


class DatabaseClock:
    """The time of the database server, so that all servers that share it have the same. Any thread may call.

    Between two `set` it goes on with this machine's monotonic clock.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        # When this machine's monotonic clock was 0.
        self._origin = datetime.now(UTC) - timedelta(seconds=monotonic())

    def set(self, now: datetime) -> None:
        self._origin = now.astimezone(UTC) - timedelta(seconds=self._monotonic())

    def __call__(self) -> datetime:
        return self._origin + timedelta(seconds=self._monotonic())


_LISTENERS = sa.text(
    "SELECT count(*) FROM pg_stat_activity"
    " WHERE datname = current_database() AND application_name = 'scrivano' AND query LIKE 'LISTEN %'"
)
_LOCK = sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtextextended(sa.bindparam("_name", type_=sa.Text), 0)))
_TIME = sa.select(sa.func.clock_timestamp(type_=sa.DateTime(timezone=True)))


@contextmanager
def _translated() -> Iterator[None]:
    """Raise our errors in place of the driver's, where another attempt or more space may help."""
    try:
        yield
    except sa.exc.TimeoutError as error:
        raise DatabaseUnreachable("all connections are in use") from error
    except sa.exc.DBAPIError as error:
        state = getattr(error.orig, "sqlstate", None) or ""
        if state in _FULL:
            raise StorageFull("no disk space left for PostgreSQL: free some space and try again") from error
        if state in _CONFLICTS:
            raise WriteConflict from error
        # Without a state, the connection has failed.
        failed = isinstance(error, sa.exc.OperationalError | sa.exc.InterfaceError) and not state
        if failed or error.connection_invalidated or state.startswith(_UNREACHABLE):
            reason = str(error.orig).strip().partition("\n")[0]
            logger.warning("the database cannot be used: %s", reason)
            raise DatabaseUnreachable(reason) from error
        raise


def _engine(url: str) -> tuple[sa.Engine, str]:
    """Not yet connected. The URL without its password is for messages. Raises `StartError`."""
    try:
        engine = sa.create_engine(
            sa.make_url(url).set(drivername="postgresql+psycopg"),
            connect_args=connect_options(),
            pool_size=POOL,
            max_overflow=MORE,
            pool_timeout=POOL_TIMEOUT_S,
            # A connection that ended while it was idle, as at a restart of PostgreSQL, is replaced.
            pool_pre_ping=True,
        )
    except ModuleNotFoundError as error:
        raise StartError("DATABASE_URL needs psycopg: pip install 'scrivano[postgres]'") from error
    return engine, sa.make_url(url).render_as_string(hide_password=True)


def _check_server(db: sa.Connection) -> None:
    version = int((db.dialect.server_version_info or (0,))[0])
    if version < OLDEST_VERSION:
        raise StartError(f"DATABASE_URL leads to PostgreSQL {version}; Scrivano needs {OLDEST_VERSION} or newer")
    encoding = db.scalar(sa.text("SHOW server_encoding"))
    if encoding != "UTF8":
        raise StartError(f"the database has the encoding {encoding}: create one with CREATE DATABASE … ENCODING 'UTF8'")


def _migrate(db: sa.Connection, name: str, schema: Path) -> None:
    known = migrations.revisions(schema)
    if migrations.current_revision(db) == known[-1]:
        return
    # Other servers wait here, and find that it is done.
    db.execute(_LOCK, {"_name": "scrivano schema"})
    current = migrations.current_revision(db)
    _refuse_unknown(name, current, known)
    if current != known[-1]:
        db.execute(sa.text("SET LOCAL statement_timeout = 0"))
        migrations.upgrade(db, schema)


def _refuse_unknown(name: str, current: str | None, known: Sequence[str]) -> None:
    if current is None or current in known:
        return
    if not current:
        raise StartError(f"{name} has tables of another program: create a database for Scrivano")
    raise StartError(
        f"the database {name} was written by a later version of Scrivano (schema {current}; this version knows"
        f" {known[-1]}): start that version"
    )
