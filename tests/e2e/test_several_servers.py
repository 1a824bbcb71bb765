"""Two servers that share a PostgreSQL and the recordings: any of them may be killed or frozen, and nothing is lost."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from media_files import repeated
from postgres import Cluster
from served import Served, start, until
from webhook_receiver import Receiver

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]

WAIT_S = 200.0


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of several chunks."""
    return repeated(tmp_path_factory.mktemp("long") / "ninety-seconds.wav", seconds=90)


@pytest.fixture
def database_url(postgres: Cluster) -> Iterator[str]:
    with postgres.database() as url:
        yield url


@pytest.fixture
def pair(tmp_path: Path, database_url: str) -> Iterator[list[Served]]:
    """Two servers, with their models loaded."""
    with ExitStack() as stack:
        servers = []
        for name in ("first", "second"):
            server = Served(start_sharing(tmp_path, name, database_url))
            stack.callback(server.close)
            servers.append(server)
        for server in servers:
            server.load()
        yield servers


def start_sharing(folder: Path, name: str, database_url: str, **env: str) -> Any:
    (folder / "shared").mkdir(exist_ok=True)
    return start(folder / name, DATABASE_URL=database_url, BLOB_URL=f"file://{folder / 'shared'}", **env)


@contextmanager
def frozen(server: Served) -> Iterator[None]:
    os.kill(server.process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(server.process.pid, signal.SIGCONT)


def submit(server: Served, path: Path, **fields: str) -> str:
    answer = server.http.post("/jobs", files={"audio": (path.name, path.read_bytes())}, data=fields)
    assert answer.status_code == 202, answer.text
    job_id: str = answer.json()["job_id"]
    return job_id


def spoken(job: dict[str, Any]) -> list[tuple[str, float, float]]:
    return [(segment["text"], segment["start"], segment["end"]) for segment in job["segments"]]


def events(server: Served, job_id: str) -> list[tuple[str, dict[str, Any]]]:
    """All events of a job, until its last one."""
    found = []
    with server.http.stream("GET", f"/jobs/{job_id}/stream", headers={"Last-Event-ID": "0"}, timeout=WAIT_S) as answer:
        kind = ""
        for line in answer.iter_lines():
            if line.startswith("event: "):
                kind = line.removeprefix("event: ")
            elif line.startswith("data: "):
                found.append((kind, json.loads(line.removeprefix("data: "))))
    return found


def runs_now(server: Served) -> set[str]:
    """The jobs that this server has started and not ended."""
    log = list(server.log)
    started = {line["job_id"] for line in log if line["message"] == "job running"}
    return started - {line["job_id"] for line in log if line["message"] == "job done"}


def check_done_once(server: Served, jobs: list[str], expected: dict[str, Any]) -> None:
    for job_id in jobs:
        job = server.ended(job_id, WAIT_S)
        assert job["status"] == "done", job
        assert spoken(job) == spoken(expected)
        log = events(server, job_id)
        kinds = Counter(kind for kind, _ in log)
        assert kinds["done"] == 1
        shown = [(data["start"], data["text"]) for kind, data in log if kind == "segment"]
        assert len(set(shown)) == len(shown), "a segment was shown twice"


def test_a_killed_server_s_jobs_are_done_once_by_the_other(pair: list[Served], recording: Path) -> None:
    first, second = pair
    expected = first.ended(submit(first, recording), WAIT_S)
    receiver = Receiver()
    try:
        jobs = [submit(pair[n % 2], recording, webhook_url=receiver.url) for n in range(6)]
        until(lambda: len(runs_now(first)) > 0 and len(runs_now(second)) > 0, WAIT_S)

        first.process.kill()

        check_done_once(second, jobs, expected)
        until(lambda: set(receiver.bodies("id")) >= {*jobs}, WAIT_S)
    finally:
        receiver.close()


def test_a_frozen_server_loses_its_jobs_and_its_late_writes_are_refused(pair: list[Served], recording: Path) -> None:
    first, second = pair
    expected = second.ended(submit(second, recording), WAIT_S)
    jobs = [submit(first, recording) for _ in range(4)]
    until(lambda: runs_now(first), WAIT_S)

    with frozen(first):
        check_done_once(second, jobs, expected)

    until(lambda: first.http.get("/livez").status_code == 200)
    check_done_once(first, jobs, expected)
    assert first.ended(submit(first, recording), WAIT_S)["status"] == "done"


def test_a_job_is_followed_and_cancelled_at_any_server(tmp_path: Path, database_url: str, recording: Path) -> None:
    """The second server has no model loaded, so that the first one runs the jobs."""
    with ExitStack() as stack:
        first, second = (Served(start_sharing(tmp_path, name, database_url)) for name in ("first", "second"))
        stack.callback(first.close)
        stack.callback(second.close)
        first.load()

        log = events(second, submit(first, recording))
        assert {"segment", "progress", "done"} <= {kind for kind, _ in log}

        job_id = submit(first, recording)
        until(lambda: job_id in runs_now(first), WAIT_S)
        cancelled = second.http.delete(f"/jobs/{job_id}")
        assert cancelled.status_code in (200, 409)  # it may be done already
        assert first.ended(job_id)["status"] == second.job(job_id)["status"]

        same = {"Idempotency-Key": "one"}
        answers = [
            server.http.post("/jobs?queue=true", files={"audio": recording.read_bytes()}, headers=same)
            for server in (first, second)
        ]
        bodies = [answer.json() for answer in answers if answer.status_code == 202]
        assert bodies[0] == bodies[-1]


def test_jobs_go_on_after_a_restart_of_postgres(pair: list[Served], postgres: Cluster, recording: Path) -> None:
    expected = pair[0].ended(submit(pair[0], recording), WAIT_S)
    jobs = [submit(pair[n % 2], recording) for n in range(4)]
    until(lambda: runs_now(pair[0]) or runs_now(pair[1]), WAIT_S)

    postgres.stop()
    try:
        until(lambda: pair[0].http.get("/readyz").status_code == 503)
        assert pair[0].http.get(f"/jobs/{jobs[0]}").headers["Retry-After"]
    finally:
        postgres.start()

    check_done_once(pair[1], jobs, expected)
