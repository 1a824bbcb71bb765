"""The server dies at each of its critical moments, and is started again: what it had promised is kept."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing, suppress
from pathlib import Path

import httpx2
import pytest
from children.crashing import POINTS
from served import TIMEOUT_S, Served, start, until
from store_support import Clock, add, dump, new_job, next_schema, opened

from scrivano.store import migrations
from torture.receiver import Receiver, receiver

pytestmark = pytest.mark.slow

CRASHING = Path(__file__).parent.parent / "children" / "crashing.py"
SECRET = "whsec_" + "dG9ydHVyZSB0b3J0dXJlIHRvcnR1cmUgdG9ydHVyZQ=="
ORDERS = json.dumps({"chunks": [[0, 160_000], [160_000, 320_000], [320_000, 480_000]]}).encode()
TEXTS = ["from 0", "from 160000", "from 320000"]

MIGRATIONS = [point for point in POINTS if "migration" in point]
PURGES = [point for point in POINTS if "forgotten" in point]
RUNNING = [point for point in POINTS if point not in MIGRATIONS + PURGES]


def launch(folder: Path, point: str = "-") -> Served:
    return Served(start(folder, [sys.executable, str(CRASHING), point, str(folder)], WEBHOOK_SECRET=SECRET))


def submit(server: Served, hooks: Receiver) -> str | None:
    """The job's id, where it was acknowledged. The model is loaded first: so no webhook tells of that."""
    server.load()
    with suppress(httpx2.HTTPError):
        answer = server.http.post(
            "/jobs", files={"audio": ORDERS}, data={"webhook_url": hooks.url}, headers={"Idempotency-Key": "once"}
        )
        assert answer.status_code == 202, answer.text
        return str(answer.json()["job_id"])
    return None


def died(server: Served) -> None:
    """It was at the point, or it would not have ended so."""
    assert server.process.wait(TIMEOUT_S) == -signal.SIGKILL
    server.close()


def count(folder: Path, sql: str) -> int:
    with closing(sqlite3.connect(folder / "scrivano.db")) as db:
        return int(db.execute(sql).fetchone()[0])


@pytest.mark.parametrize("point", RUNNING)
def test_a_job_is_done_once_wherever_the_server_dies(tmp_path: Path, point: str) -> None:
    with receiver() as hooks:
        server = launch(tmp_path, point)
        acknowledged = submit(server, hooks)
        died(server)

        again = launch(tmp_path)
        job_id = submit(again, hooks)
        assert job_id is not None
        assert acknowledged in (None, job_id)
        job = again.ended(job_id)
        until(lambda: hooks.messages.get(job_id))
        until(lambda: count(tmp_path, "SELECT count(*) FROM deliveries WHERE status = 'delivered'"))
        log = again.http.get(f"/jobs/{job_id}/stream", headers={"Last-Event-ID": "0"}).text
        again.close()

        assert job["status"] == "done"
        assert [segment["text"] for segment in job["segments"]] == TEXTS
        assert log.count("event: done") == 1
        assert log.count("event: segment") == len(TEXTS)
        assert hooks.messages == {job_id: {f"msg_{job_id}"}}
        assert hooks.calls.total() == (2 if "is sent, before" in point else 1)
        assert count(tmp_path, "SELECT count(*) FROM jobs") == 1
        assert count(tmp_path, "SELECT count(*) FROM events WHERE type = 'done'") == 1
        assert list((tmp_path / "uploads").iterdir()) == list((tmp_path / "prepared").iterdir()) == []


@pytest.mark.parametrize("point", PURGES)
def test_a_forgotten_job_leaves_nothing_behind(tmp_path: Path, point: str) -> None:
    with receiver() as hooks:
        server = launch(tmp_path, point)
        job_id = submit(server, hooks)
        assert job_id is not None
        server.ended(job_id)
        with suppress(httpx2.HTTPError):
            server.http.delete(f"/jobs/{job_id}?purge=true")
        died(server)

        again = launch(tmp_path)
        assert again.http.get(f"/jobs/{job_id}").status_code == 404
        again.close()
        assert list((tmp_path / "uploads").iterdir()) == []


@pytest.mark.parametrize("point", MIGRATIONS)
def test_a_migration_that_is_cut_short_is_begun_again(tmp_path: Path, point: str) -> None:
    path, clock, schema = tmp_path / "scrivano.db", Clock(), next_schema(tmp_path)
    with opened(path, clock) as store:
        add(store, new_job("a", clock))
    before = dump(path)

    child = subprocess.run([sys.executable, str(CRASHING), point, str(tmp_path), str(schema)], timeout=120)

    assert child.returncode == -signal.SIGKILL
    assert dump(path.with_name(f"scrivano.db.{migrations.revisions()[-1]}.bak")) == before
    with opened(path, clock, schema) as store:
        assert store.get_job("a").id == "a"
    assert count(tmp_path, "SELECT count(*) FROM jobs WHERE mood IS NULL") == 1


def test_every_point_is_visited() -> None:
    assert sorted(RUNNING + PURGES + MIGRATIONS) == sorted(POINTS)
