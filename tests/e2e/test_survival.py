"""`kill -9` at random moments: nothing that was acknowledged is lost, and the transcript is the undisturbed one."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from media_files import repeated
from served import DATA, Served, served, start, text_of, until

SEED = 7
KILLS = 20


def spoken(job: dict[str, Any]) -> list[tuple[str, float, float]]:
    return [(segment["text"], segment["start"], segment["end"]) for segment in job["segments"]]


@pytest.fixture(scope="module")
def ten_minutes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return repeated(tmp_path_factory.mktemp("long") / "ten-minutes.wav", seconds=600)


def submit(server: Served, path: Path) -> str:
    answer = server.http.post("/jobs", files={"audio": (path.name, path.read_bytes())}, data={"queue": "true"})
    assert answer.status_code == 202
    job_id: str = answer.json()["job_id"]
    return job_id


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_twenty_kills_change_nothing(tmp_path: Path, ten_minutes: Path) -> None:
    """Victims by lot: the server, the engine, a media child. A killed server is started again on its folder."""
    with served(tmp_path / "undisturbed") as server:
        began = time.monotonic()
        expected = server.ended(submit(server, ten_minutes), timeout_s=200)
        alone_s = time.monotonic() - began
    assert expected["status"] == "done"
    assert len(expected["segments"]) > 50

    lot = random.Random(SEED)
    server = Served(start(tmp_path / "killed"))
    try:
        jobs = [submit(server, ten_minutes)]
        for _ in range(KILLS):
            time.sleep(lot.uniform(0, alone_s / 4))
            victim = lot.choice(["server", "engine", "media"])
            if victim == "server":
                server.process.kill()
                server.close()
                server = Served(start(tmp_path / "killed"))
            for pid in server.children(victim) if victim != "server" else []:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            if server.job(jobs[-1])["status"] == "done":  # there is always one to disturb
                jobs.append(submit(server, ten_minutes))
        for job_id in jobs:
            job = server.ended(job_id, timeout_s=300)
            assert job["status"] == "done", job
            assert spoken(job) == spoken(expected)
    finally:
        server.close()


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_what_is_cut_otherwise_after_a_kill_is_told_once(tmp_path: Path) -> None:
    """As after an update: chunks have another length than before the kill."""
    recording = repeated(tmp_path / "long.wav", seconds=150)
    server = Served(start(tmp_path / "data", MAX_CHUNK_SECS="5", BATCH_SIZE="1"))
    try:
        job_id = submit(server, recording)
        until(lambda: server.job(job_id)["progress"] > 10)
        server.process.kill()
        server.close()
        server = Served(start(tmp_path / "data", MAX_CHUNK_SECS="20"))
        job = server.ended(job_id, timeout_s=200)
        log = server.http.get(f"/jobs/{job_id}/stream", headers={"Last-Event-ID": "0"}).text
    finally:
        server.close()

    assert job["status"] == "done"
    events = [json.loads(line[6:]) for line in log.splitlines() if line.startswith("data: ")]
    told = [event for event in events if event["type"] == "segment"]
    assert events[0]["type"] == "retry"
    assert [event["index"] for event in told] == list(range(len(told)))
    assert [event["text"] for event in told] == [segment["text"] for segment in job["segments"]]


def test_an_upload_that_was_acknowledged_survives_at_once(tmp_path: Path) -> None:
    server = Served(start(tmp_path))
    job_id = submit(server, DATA / "en-it-mixed-0.flac")
    server.process.kill()
    server.close()

    with served(tmp_path) as again:
        assert again.job(job_id)["status"] in ("queued", "running", "done")
        assert again.ended(job_id, timeout_s=200)["status"] == "done"


def test_children_end_with_the_server_however_it_ends(tmp_path: Path) -> None:
    server = Served(start(tmp_path))
    server.load()
    children = until(
        lambda: [*server.children("engine"), *server.children("media")][:2] if server.children("media") else []
    )
    assert len(children) == 2
    server.process.kill()
    server.close()

    until(lambda: not any(_runs(pid) for pid in children))


def test_a_finished_job_is_still_there_after_a_kill(tmp_path: Path) -> None:
    server = Served(start(tmp_path))
    job_id = server.submit("en-exact-0.flac", queue="true")
    done = server.ended(job_id)
    server.process.kill()
    server.close()

    with served(tmp_path) as again:
        assert again.job(job_id) == done
        assert text_of(done)


def _runs(pid: int) -> bool:
    with suppress(OSError):
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    return False
