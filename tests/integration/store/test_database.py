"""Opening the database: its file, its schema and upgrades, and who may open it."""

from __future__ import annotations

import shutil
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from store_support import Clock, add, dump, new_job, next_schema, opened, query

from scrivano.domain.errors import StartError
from scrivano.store import migrations
from scrivano.store.database import Database
from scrivano.store.jobs import JobStore
from scrivano.store.outbox import Outbox
from scrivano.store.sqlite import SqliteDatabase
from scrivano.store.tables import TABLES


def test_closing_leaves_one_file_for_this_user_only(path: Path, clock: Clock) -> None:
    database = SqliteDatabase.open(path)
    add(JobStore(database, Outbox(database, clock), clock), new_job("a", clock))
    modes = {stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    database.close()
    database.close()

    assert modes == {0o600}
    assert [file.name for file in path.parent.iterdir()] == ["scrivano.db"]


def test_a_restart_does_not_import_alembic(path: Path) -> None:
    SqliteDatabase.open(path).close()
    code = (
        "import sys, pathlib; from scrivano.store import jobs; from scrivano.store.sqlite import SqliteDatabase;"
        "SqliteDatabase.open(pathlib.Path(sys.argv[1])).close();"
        "print('alembic' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True).stdout == "False\n"


def test_the_migrations_make_the_tables_that_the_store_uses(database: Database) -> None:
    with database.read() as db:
        made, dialect = sa.inspect(db), db.dialect
        assert set(made.get_table_names()) == {*TABLES.tables, "alembic_version"}
        for name, table in TABLES.tables.items():
            columns = {column["name"]: column["type"].compile(dialect) for column in made.get_columns(name)}
            assert columns == {column.name: column.type.compile(dialect) for column in table.columns}, name


def test_every_revision_is_named_like_its_file() -> None:
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory(str(migrations.FOLDER))

    assert [script.revision for script in scripts.walk_revisions()][::-1] == migrations.revisions()


def test_a_later_version_s_database_is_refused(tmp_path: Path, path: Path) -> None:
    SqliteDatabase.open(path, next_schema(tmp_path)).close()
    before = dump(path)

    with pytest.raises(
        StartError, match=r"written by a later version of Scrivano \(schema r9999; .*start that version"
    ):
        SqliteDatabase.open(path)
    assert dump(path) == before


def test_an_older_database_is_copied_and_upgraded(tmp_path: Path, path: Path, clock: Clock) -> None:
    with opened(path, clock) as store:
        add(store, new_job("a", clock, filename="mine.mp3"))
    before = dump(path)
    copy = path.with_name(f"scrivano.db.{migrations.revisions()[-1]}.bak")

    with opened(path, clock, next_schema(tmp_path)) as store:
        assert store.get_job("a").filename == "mine.mp3"
        assert add(store, new_job("b", clock)) == "b"

    assert query(path, "SELECT mood FROM jobs") == [(None,), (None,)]
    assert dump(copy) == before
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600


def test_pending_webhooks_of_the_first_version_are_delivered(tmp_path: Path, path: Path, clock: Clock) -> None:
    """Each with its host, by which calls are counted."""
    first = tmp_path / "first"
    (first / "versions").mkdir(parents=True)
    for name in ("env.py", "versions/r0001.py"):
        shutil.copy(migrations.FOLDER / name, first / name)
    SqliteDatabase.open(path, first).close()
    urls = ["http://u:p@One.test:81/a", "http://one.test:81/b", "https://two.test/?q"]
    with closing(sqlite3.connect(path)) as db, db:
        for n, url in enumerate(urls):
            row = (f"d{n}", url, "job", b"{}", "pending", 1, "2029-01-02 03:04:05", "2029-01-02 03:04:05")
            names = "id, url, kind, payload, status, attempts, next_attempt_at, created_at"
            db.execute(f"INSERT INTO deliveries ({names}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)

    with closing(SqliteDatabase.open(path)) as database:
        hosts = {one.url: one.host for one in Outbox(database, clock).due(10)}

    assert hosts == dict(zip(urls, ["one.test:81", "one.test:81", "two.test"], strict=True))


def test_jobs_of_the_fourth_schema_know_nothing_about_their_recordings(
    tmp_path: Path, path: Path, clock: Clock
) -> None:
    earlier = tmp_path / "earlier"
    (earlier / "versions").mkdir(parents=True)
    for name in ("env.py", *(f"versions/r000{number}.py" for number in range(1, 5))):
        shutil.copy(migrations.FOLDER / name, earlier / name)
    SqliteDatabase.open(path, earlier).close()
    with closing(sqlite3.connect(path)) as db, db:
        names = "id, status, task, progress, options, created_at, attempt, audio_sha256, audio_bytes, request_sha256"
        row = ("a", "queued", "transcribe", 0, "{}", "2029-01-02 03:04:05", 0, "", 1, "")
        db.execute(f"INSERT INTO jobs ({names}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)

    with opened(path, clock) as store:
        job = store.get_job("a")

    assert (job.audio, job.warnings) == (None, None)


def test_jobs_of_the_fifth_schema_have_one_version(tmp_path: Path, path: Path, clock: Clock) -> None:
    earlier = tmp_path / "earlier"
    (earlier / "versions").mkdir(parents=True)
    for name in ("env.py", *(f"versions/r000{number}.py" for number in range(1, 6))):
        shutil.copy(migrations.FOLDER / name, earlier / name)
    SqliteDatabase.open(path, earlier).close()
    with closing(sqlite3.connect(path)) as db, db:
        names = "id, status, task, progress, options, created_at, attempt, audio_sha256, audio_bytes, request_sha256"
        row = ("a", "done", "transcribe", 100, "{}", "2029-01-02 03:04:05", 1, "", 1, "")
        db.execute(f"INSERT INTO jobs ({names}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
        db.execute("INSERT INTO results (job_id, segments) VALUES ('a', '[]')")

    with opened(path, clock) as store:
        assert store.versions("a")[1] == [store.get_job("a")]
        assert store.add_version("a", {}).version == 2
        assert [version.decoded_by for version in store.versions("a")[1]] == [None, None]


def test_an_upgrade_that_fails_halfway_changes_nothing(tmp_path: Path, path: Path) -> None:
    SqliteDatabase.open(path).close()
    before = dump(path)

    with pytest.raises(StartError, match="no such table: nowhere"):
        SqliteDatabase.open(path, next_schema(tmp_path, then="op.execute('DELETE FROM nowhere')"))

    assert dump(path) == before
    SqliteDatabase.open(path).close()


def _not_a_database(path: Path) -> None:
    path.write_bytes(b"not a database" * 1000)


def _another_database(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE recipes (id)")


def _a_folder(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (_not_a_database, r"cannot use the database .*: file is not a database"),
        (_another_database, r"is not a database of Scrivano: move it away"),
        (_a_folder, r"cannot open the database .*: Is a directory"),
    ],
)
def test_what_is_no_database_of_ours_ends_the_start(path: Path, make: Callable[[Path], None], message: str) -> None:
    make(path)

    with pytest.raises(StartError, match=message):
        SqliteDatabase.open(path)
