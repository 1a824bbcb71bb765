"""Whose a job is: what other keys see of it, which is nothing."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from store_support import Clock, add, new_job, opened

from scrivano.domain.errors import JobNotFound, JobTerminal
from scrivano.domain.job import JobStatus
from scrivano.store import migrations
from scrivano.store.jobs import JobStore
from scrivano.store.sqlite import SqliteDatabase


def test_a_job_of_another_key_is_not_there(store: JobStore, clock: Clock) -> None:
    add(store, new_job("a", clock, owner="one"))
    add(store, new_job("n", clock))

    for job_id in ("a", "n"):
        for call in (store.get_job, store.cancel, store.retry):
            with pytest.raises(JobNotFound):
                call(job_id, owner="two")
    assert store.get_job("a").status is JobStatus.QUEUED
    assert store.get_job("a", owner="one").owner == "one"
    assert store.cancel("a", owner="one").status is JobStatus.CANCELLED
    with pytest.raises(JobTerminal):
        store.cancel("a", owner="one")
    with pytest.raises(JobNotFound):
        store.cancel("a", owner="two")
    assert store.retry("a", owner="one").status is JobStatus.QUEUED


def test_a_list_has_ones_own_jobs_only(store: JobStore, clock: Clock) -> None:
    for job_id, owner in [("a", "one"), ("b", "two"), ("c", None), ("d", "one")]:
        add(store, new_job(job_id, clock, owner=owner))

    assert [job.id for job in store.list_jobs(9, owner="one")] == ["d", "a"]
    assert [job.id for job in store.list_jobs(9, owner="one", before=(clock(), "d"))] == ["a"]
    assert [job.id for job in store.list_jobs(9, owner="three")] == []
    assert len(store.list_jobs(9)) == 4


def test_jobs_from_before_there_were_keys_belong_to_nobody(tmp_path: Path, clock: Clock) -> None:
    schema = tmp_path / "schema"
    later = [f"{name}.py" for name in migrations.revisions()[1:]]
    shutil.copytree(migrations.FOLDER, schema, ignore=shutil.ignore_patterns("__pycache__", *later))
    path = tmp_path / "old.db"
    SqliteDatabase.open(path, schema).close()
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(
            "INSERT INTO jobs (id, status, task, progress, options, created_at, attempt, audio_sha256, audio_bytes,"
            " idempotency_key, request_sha256) VALUES ('a', 'queued', 'transcribe', 0, '{}', '2030-01-01 00:00:00', 0,"
            " '', 0, 'k', '')"
        )

    with opened(path, clock) as store:
        assert store.get_job("a").owner is None
        assert store.list_jobs(9, owner="one") == []
        assert add(store, new_job("b", clock, owner="one"), idempotency_key="k") == "b"
