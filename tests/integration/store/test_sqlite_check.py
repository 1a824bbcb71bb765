"""What `scrivano doctor` says about a database that is a file."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from scrivano.domain.errors import StartError
from scrivano.store.sqlite import SqliteDatabase, start_errors

PAGE_BYTES = 4096


def of_a_later_version(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE alembic_version SET version_num = 'r9999'")


def no_database(path: Path) -> None:
    path.write_bytes(b"something else " * 1000)


def a_damaged_page(path: Path) -> None:
    """Of the jobs, which are not read when the database is opened."""
    with closing(sqlite3.connect(path)) as db:
        (page,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'jobs'").fetchone()
    with path.open("r+b") as file:
        file.seek((page - 1) * PAGE_BYTES)
        file.write(b"\xff" * PAGE_BYTES)


def files(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.iterdir()}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (of_a_later_version, "was written by a later version of Scrivano"),
        (no_database, "file is not a database: put back a backup with `scrivano restore --force FILE`"),
        (a_damaged_page, "is damaged (Page 4: btreeInitPage() returns error code 11): put back a backup with"),
    ],
)
def test_a_database_that_cannot_be_used_is_named_and_not_changed(
    path: Path, change: Callable[[Path], None], reason: str
) -> None:
    SqliteDatabase.open(path).close()
    change(path)
    before = files(path.parent)

    with pytest.raises(StartError) as refused:
        SqliteDatabase.check(path)

    assert str(path) in str(refused.value)
    assert reason in str(refused.value)
    assert "\n" not in str(refused.value)
    assert files(path.parent) == before


def test_a_check_makes_no_files(path: Path) -> None:
    assert "none yet" in SqliteDatabase.check(path)
    assert files(path.parent) == {}

    SqliteDatabase.open(path).close()
    before = files(path.parent)
    assert SqliteDatabase.check(path).startswith(f"{path}: intact, tables r")
    assert files(path.parent) == before


def test_a_check_sees_what_a_server_has_committed_and_makes_no_index_for_a_log_that_it_left(
    path: Path, tmp_path: Path
) -> None:
    with closing(SqliteDatabase.open(path)):
        of_a_later_version(path)
        with pytest.raises(StartError, match="later version"):
            SqliteDatabase.check(path)
        left = tmp_path / "left"
        left.mkdir()
        for name in (path.name, f"{path.name}-wal"):
            shutil.copy(path.with_name(name), left)

    assert "was killed" in SqliteDatabase.check(left / path.name)
    assert sorted(os.listdir(left)) == [path.name, f"{path.name}-wal"]


def test_what_is_damaged_is_said_where_it_is_read(path: Path) -> None:
    SqliteDatabase.open(path).close()
    a_damaged_page(path)

    with (
        closing(SqliteDatabase.open(path)) as database,
        pytest.raises(StartError, match=r"malformed: put back a backup with `scrivano restore"),
        start_errors(path),
        database.read() as db,
    ):
        db.exec_driver_sql("SELECT * FROM jobs").all()
