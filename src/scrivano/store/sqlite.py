"""The database as a file: connections, transactions, schema and backup with SQLite.

Any thread may call. One connection writes and checkpoints, behind a lock; readers have read-only connections and see
committed data without waiting for the writer.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy import event

from scrivano.domain.errors import StartError, StorageFull
from scrivano.store import migrations

__all__ = ["DATABASE", "SqliteDatabase", "discard_wal", "is_full", "start_errors"]

# The name of the file in DATA_DIR.
DATABASE = "scrivano.db"

_PRAGMAS = (
    # With FULL a commit survives a power cut, with NORMAL it may not. On macOS only fullfsync reaches the disk.
    "PRAGMA synchronous = FULL",
    "PRAGMA fullfsync = ON",
    "PRAGMA foreign_keys = ON",
    # What is deleted is overwritten: there are voices of people among it.
    "PRAGMA secure_delete = ON",
)
_BUSY_TIMEOUT_S = 10.0
# The disk is full; a quota or a limit on file sizes; no space for the WAL's index.
_FULL = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE)
# Damaged pages; no database at all; tables or columns that are missing.
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)
_RESTORE = "put back a backup with `scrivano restore --force FILE`"


class SqliteDatabase:
    """Implements `Database`.

    There is one writing connection, because SQLite before 3.51.3 can corrupt a WAL database when two connections
    checkpoint.
    """

    shared = False

    def __init__(self, path: Path, writer: sa.Engine, readers: sa.Engine, on_full: Callable[[], None]) -> None:
        """Use `SqliteDatabase.open`."""
        self._on_full = on_full
        self._path = path
        self._opened = _identity(path)
        self._writer = writer.connect()
        self._readers = readers
        # Reentrant, so that several calls of one thread can share a transaction.
        self._lock = threading.RLock()
        self._writing: int | None = None

    @classmethod
    def open(
        cls, path: Path, schema: Path = migrations.FOLDER, *, on_full: Callable[[], None] = lambda: None
    ) -> SqliteDatabase:
        """Open or create the database at `path`, and bring its schema to the newest revision of `schema`.

        `on_full` is called when a write failed because the disk is full, on the thread that wrote, before `StorageFull`
        is raised. It must return at once and never raise.

        An older database is copied to `<path>.<its revision>.bak` first. Raises `StartError` if the database cannot be
        read, or was written by a later version of Scrivano.
        """
        # Created here first, so that only this user can read it, and the WAL, which gets the same mode.
        _create(path)
        writer = sa.create_engine("sqlite://", creator=lambda: _connect_writer(path), poolclass=sa.StaticPool)
        # A transaction takes the write lock at its start, so it cannot fail to get the lock when half done.
        event.listen(writer, "begin", lambda db: db.exec_driver_sql("BEGIN IMMEDIATE"))
        try:
            with start_errors(path):
                _migrate(writer, path, schema)
                return cls(path, writer, _readers(path), on_full)
        except BaseException:
            writer.dispose()
            raise

    @staticmethod
    def check(path: Path, schema: Path = migrations.FOLDER) -> str:
        """Read the whole file, and change nothing; a server may have it open. Returns its state as text.

        Raises `StartError`: `open` would refuse it, or its pages are damaged.
        """
        if not path.exists():
            return f"{path}: none yet; the server creates it"
        if not _index_of_wal(path).exists() and _has_wal(path):  # SQLite would write to the folder.
            return f"{path}: not read, since the server that wrote it was killed; the next one reads it"
        reader = sa.create_engine("sqlite://", creator=lambda: _connect_unchanged(path), poolclass=sa.NullPool)
        with start_errors(path), reader.connect() as db:
            current = migrations.current_revision(db)
            _refuse_unknown(path, current, migrations.revisions(schema))
            _check_pages(path, str(db.exec_driver_sql("PRAGMA quick_check(1)").scalar()))
        return f"{path}: intact, {'no tables yet' if current is None else f'tables {current}'}"

    def read(self) -> sa.Connection:
        return self._readers.connect()

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        if self.in_transaction:
            yield self._writer
            return
        try:
            with self._lock, _disk_errors(), self._writer.begin():
                self._writing = threading.get_ident()
                try:
                    yield self._writer
                finally:
                    self._writing = None
        except StorageFull:
            self._on_full()
            raise

    def lock(self, db: sa.Connection, *names: str) -> None:
        """There is one writer, so that nothing is to be done."""

    @property
    def in_transaction(self) -> bool:
        return self._writing == threading.get_ident()

    def fault(self) -> str | None:
        """Waits for a running write."""
        if _identity(self._path) != self._opened:  # SQLite still writes to a deleted file, and all of it is lost
            return "the database was deleted or moved: bring DATA_DIR back, then restart the server"
        try:
            with self.write():
                return None
        except (StorageFull, sa.exc.DatabaseError) as error:
            return f"the database cannot be written to: {error}"

    def close(self) -> None:
        with self._lock:
            # The readers first: the last connection to close checkpoints the WAL, and a read-only one cannot.
            self._readers.dispose()
            self._writer.close()
            self._writer.engine.dispose()


def discard_wal(path: Path) -> None:
    """Before the database file is replaced, when nothing has it open: an old WAL must not be applied to a new file.

    Its commits are moved into the old file first, so that an interruption loses none of them.
    """
    if path.exists():
        with suppress(sqlite3.Error), closing(_connect(path, "rw")) as db:  # A damaged file is replaced all the same.
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


@contextmanager
def start_errors(path: Path) -> Iterator[None]:
    """Raise `StartError` in place of what SQLite says about the database at `path` while a server starts."""
    try:
        yield
    except StorageFull as error:
        raise StartError(str(error)) from error
    except sa.exc.DatabaseError as error:
        raise StartError(f"cannot use the database {path}: {_reason(error)}") from error


def _reason(error: sa.exc.DatabaseError) -> str:
    if is_full(error.orig):
        return "the disk is full: free some space"
    code = getattr(error.orig, "sqlite_errorcode", None) or sqlite3.SQLITE_OK
    # The lowest byte of an extended code is the code that it extends.
    return f"{error.orig}: {_RESTORE}" if code & 0xFF in _DAMAGED else str(error.orig)


def _check_pages(path: Path, state: str) -> None:
    """`state`: what `quick_check` says. Raises `StartError` if it is not good."""
    if state != "ok":
        raise StartError(f"the database {path} is damaged ({state.splitlines()[-1]}): {_RESTORE}")


@contextmanager
def _disk_errors() -> Iterator[None]:
    """Raise `StorageFull` in place of the errors by which SQLite says that the disk is full."""
    try:
        yield
    except sa.exc.OperationalError as error:
        if not is_full(error.orig):
            raise
        raise StorageFull("no disk space left for the database in DATA_DIR: free some space and try again") from error


def is_full(error: BaseException | None) -> bool:
    """`error`: of SQLite."""
    return getattr(error, "sqlite_errorcode", None) in _FULL


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _create(path: Path) -> None:
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise StartError(f"cannot open the database {path}: {error.strerror}") from error


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    # isolation_level None: Python's sqlite3 starts no transactions of its own.
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        timeout=_BUSY_TIMEOUT_S,
        isolation_level=None,
        check_same_thread=False,
    )


def _connect_unchanged(path: Path) -> sqlite3.Connection:
    """Read only. With `ro` alone SQLite creates a WAL and its index where there are none, and leaves them."""
    return _connect(path, "ro" if _index_of_wal(path).exists() else "ro&immutable=1")


def _index_of_wal(path: Path) -> Path:
    return path.with_name(f"{path.name}-shm")


def _has_wal(path: Path) -> bool:
    wal = path.with_name(f"{path.name}-wal")
    return wal.exists() and wal.stat().st_size > 0


def _connect_writer(path: Path) -> sqlite3.Connection:
    db = _connect(path, "rw")
    try:
        (mode,) = db.execute("PRAGMA journal_mode = WAL").fetchone()
        if mode != "wal":
            raise StartError(f"the database {path} must be on a local disk: set DATA_DIR to a folder on one")
        for pragma in _PRAGMAS:
            db.execute(pragma)
    except BaseException:
        db.close()
        raise
    return db


def _readers(path: Path) -> sa.Engine:
    # A read-only connection never checkpoints.
    return sa.create_engine(
        "sqlite://", creator=lambda: _connect(path, "ro"), poolclass=sa.QueuePool, pool_size=5, max_overflow=-1
    )


def _migrate(writer: sa.Engine, path: Path, schema: Path) -> None:
    known = migrations.revisions(schema)
    with writer.begin() as db:
        current = migrations.current_revision(db)
        _refuse_unknown(path, current, known)
        if current == known[-1]:
            return
        if current is not None:
            _back_up(path, current)
        migrations.upgrade(db, schema)


def _refuse_unknown(path: Path, current: str | None, known: Sequence[str]) -> None:
    if current is None or current in known:
        return
    if not current:
        raise StartError(f"{path} is not a database of Scrivano: move it away, or set DATA_DIR to another folder")
    raise StartError(
        f"the database {path} was written by a later version of Scrivano (schema {current}; this version knows"
        f" {known[-1]}): start that version, or set DATA_DIR to another folder"
    )


def _back_up(path: Path, revision: str) -> None:
    """Copy the database; SQLite fsyncs the copy. Reads through a new connection: the writer is in a transaction."""
    copy = path.with_name(f"{path.name}.{revision}.bak")
    _create(copy)
    with closing(_connect(path, "ro")) as source, closing(_connect(copy, "rw")) as target:
        source.backup(target)
