"""A consistent copy of a database that a server may be writing to, and which recordings belong to it.

The copy may have an older schema: only columns that every revision has are read.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from scrivano.domain.errors import StartError, StorageFull
from scrivano.domain.job import JobStatus
from scrivano.store import migrations
from scrivano.store.sqlite import is_full

__all__ = ["Snapshot", "check_snapshot", "take_snapshot"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A copy of a database. A job and an upload in several requests are named by their ids.

    `needed`: without their recordings, these jobs could not go on or be tried again. `uploads`: unfinished ones that
    have received something. `others`: ended jobs, whose recordings may have been deleted.
    """

    path: Path
    revision: str
    jobs: int
    needed: frozenset[str]
    uploads: frozenset[str]
    others: frozenset[str]


def take_snapshot(database: Path, copy: Path, *, live: bool) -> Snapshot:
    """Copy the database to `copy`, which is replaced. `live`: a server has it open.

    All pages are copied in one step, within one read transaction: the server goes on writing, and the copy has its
    committed data of one moment. Raises `StartError` if the database cannot be read, `StorageFull`.
    """
    copy.unlink(missing_ok=True)
    # While a server has the database open, this connection must not checkpoint (see `sqlite.SqliteDatabase`).
    mode = "ro" if live else "rw"
    try:
        with _full_disk(copy), closing(_connect(database, mode)) as source, closing(sqlite3.connect(copy)) as target:
            source.backup(target)
        return check_snapshot(copy, f"the database {database}")
    except sqlite3.Error as error:
        raise StartError(f"cannot read the database {database} ({error})") from error


def check_snapshot(path: Path, name: str) -> Snapshot:
    """What a copied database contains. Raises `StartError`, which calls it `name`, if it is damaged, or of a later
    version; `StorageFull`."""
    try:
        with _full_disk(path), closing(_connect(path, "rw")) as db:
            (state,) = db.execute("PRAGMA quick_check(1)").fetchone()
            if state != "ok":
                raise StartError(f"{name} is damaged ({state.splitlines()[-1]}): restore an earlier backup")
            db.execute("PRAGMA journal_mode = DELETE")  # One file, without the WAL's.
            return _read(path, name, db)
    except sqlite3.Error as error:
        raise StartError(f"{name} is damaged ({error}): restore an earlier backup") from error


@contextmanager
def _full_disk(copy: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        if not is_full(error):
            raise
        raise StorageFull(f"no space left in {copy.parent}: free some space and try again") from error


def _read(path: Path, name: str, db: sqlite3.Connection) -> Snapshot:
    if db.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,):  # a server was ended at its first start
        raise StartError(f"{name} has no tables yet: start the server once")
    (revision,) = db.execute("SELECT version_num FROM alembic_version").fetchone() or (None,)
    if revision is None:
        raise StartError(f"{name} is not a database of Scrivano")
    known = migrations.revisions()
    if revision not in known:
        raise StartError(
            f"{name} is of a later version of Scrivano (schema {revision}; this version knows {known[-1]}): use that"
            " version"
        )
    jobs = _jobs(db)
    keeps = {name for name, status in jobs if status not in (JobStatus.DONE, JobStatus.CANCELLED)}
    return Snapshot(
        path=path,
        revision=str(revision),
        jobs=len(jobs),
        needed=frozenset(keeps),
        uploads=frozenset(_unfinished_uploads(db)),
        others=frozenset({name for name, _ in jobs} - keeps),
    )


def _jobs(db: sqlite3.Connection) -> list[tuple[str, str]]:
    """The name of each job's recording, and its status. A version shares the recording of its job."""
    columns = {column[1] for column in db.execute("PRAGMA table_info(jobs)")}
    recording = "coalesce(version_of, id)" if "version_of" in columns else "id"
    return list(db.execute(f"SELECT {recording}, status FROM jobs"))


def _unfinished_uploads(db: sqlite3.Connection) -> set[str]:
    """The table came with the fourth revision."""
    if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'uploads'").fetchone():
        return set()
    return {name for (name,) in db.execute("SELECT id FROM uploads WHERE job_id IS NULL AND offset_bytes > 0")}


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode={mode}", uri=True, timeout=30, isolation_level=None)
