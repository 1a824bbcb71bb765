"""All jobs from SQLite to PostgreSQL and back."""

from __future__ import annotations

from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from store_support import Clock, add, new_job, plan

from scrivano.backup.store_move import move_store
from scrivano.domain.errors import StartError
from scrivano.domain.job import JobStatus
from scrivano.store.database import Database
from scrivano.store.decoded import Decoded
from scrivano.store.jobs import JobStore
from scrivano.store.outbox import Outbox
from scrivano.store.postgres import PostgresDatabase
from scrivano.store.sqlite import SqliteDatabase
from scrivano.store.tables import TABLES
from scrivano.store.uploads import PartialUpload, UploadStore

pytestmark = pytest.mark.slow

URL = "http://hooks.test/"


def fill(database: Database, clock: Clock) -> None:
    """One of everything: a job that is done and has versions, one that runs, one that waits, an upload, deliveries."""
    outbox = Outbox(database, clock)
    store = JobStore(database, outbox, clock)
    options = {"metadata": {"a": "\u00e9\u4e2d"}, "priority": "bulk"}
    add(store, new_job("done", clock, owner="one", webhook_url=URL, filename="\u00e0 \u4e2d.mp3", options=options))
    store.claim("done", 60)
    segments = b'[{"index":0,"start":0.0,"end":1.0,"text":"a","words":[]}]'
    store.publish_done("done", 1, segments, language="en", duration_secs=3.25, text="a", quality={"score": 0.5})
    store.add_version("done", {"language": "it"})
    add(store, new_job("runs", clock), idempotency_key="key")
    store.claim("runs", 60)
    store.add_chunks("runs", 1, plan(3), duration_secs=10.0)
    progress = {"percent": 40, "chunk": 1, "chunks_total": 3}
    store.store_results([Decoded(job_id="runs", attempt=1, index=0, result=b"\x00\xff", progress=progress)])
    for n in range(250):
        clock.forward(1)
        add(store, new_job(f"waits-{n}", clock))
    outbox.add("model", URL, "model_ready", b"{}")
    upload = PartialUpload(
        id="upload",
        size_bytes=5,
        offset_bytes=2,
        metadata="filename YQ==",
        created_at=clock(),
        expires_at=clock() + timedelta(hours=1),
    )
    UploadStore(database, clock).add(upload)


def contents(database: Database) -> dict[str, list[str]]:
    with database.read() as db:
        return {
            table.name: sorted(str(row._asdict() | {"lease_expires_at": None}) for row in db.execute(sa.select(table)))
            for table in TABLES.sorted_tables
        }


def test_all_jobs_move_to_postgres_and_back(tmp_path: Path, postgres_url: str, clock: Clock) -> None:
    with closing(SqliteDatabase.open(make(tmp_path / "there"))) as database:
        fill(database, clock)
        before = contents(database)

    assert move_store(tmp_path / "there", postgres_url, back=False, now=clock)["jobs"] == 254
    with closing(PostgresDatabase.open(postgres_url)) as shared:
        assert contents(shared) == before
        job = JobStore(shared, Outbox(shared, clock), clock).claim("runs", 60)
        assert job is not None
        assert (job.status, job.attempt) == (JobStatus.RUNNING, 2)

    with pytest.raises(StartError, match="has jobs already"):
        move_store(tmp_path / "there", postgres_url, back=False, now=clock)

    move_store(tmp_path / "back", postgres_url, back=True, now=clock)
    with closing(SqliteDatabase.open(tmp_path / "back" / "scrivano.db")) as database:
        changed = {name for name, rows in contents(database).items() if rows != before[name]}
    assert changed == {"jobs"}  # the one that was claimed


def test_a_folder_without_a_database_is_refused(tmp_path: Path, postgres_url: str, clock: Clock) -> None:
    with pytest.raises(StartError, match=r"no scrivano\.db"):
        move_store(tmp_path, postgres_url, back=False, now=clock)


def test_a_database_that_a_server_uses_is_refused(tmp_path: Path, postgres_url: str, clock: Clock) -> None:
    SqliteDatabase.open(make(tmp_path / "there")).close()
    with closing(PostgresDatabase.open(postgres_url)) as server, server.listen("anything"):
        for back in (False, True):
            with pytest.raises(StartError, match="in use by 1 process: stop"):
                move_store(tmp_path / "there", postgres_url, back=back, now=clock)


def make(folder: Path) -> Path:
    folder.mkdir()
    return folder / "scrivano.db"
