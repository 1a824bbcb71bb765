"""Speakers of a job, with scripted children: whatever happens to them, the transcript is published."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from runner_bench import SECOND, TEXTS, THREE, bench
from served import until

from scrivano.domain.job import JobStatus
from scrivano.domain.speakers import Turn

SPEAKERS = {"speakers": True}


def requests(folder: Path) -> list[dict[str, Any]]:
    log = folder / "voices"
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def test_a_job_gets_its_speakers(tmp_path: Path) -> None:
    with bench(tmp_path) as one:
        job = one.ended(one.submit(options=SPEAKERS))

        assert job.status is JobStatus.DONE
        assert job.speakers == [{"id": "S1", "name": "Speaker 1", "seconds": 45.0}]
        assert one.store.turns(job.id)[0] == Turn(0.0, 15.0, "S1")
        segments = json.loads(one.store.get_result(job.id) or b"[]")
        assert [(segment["text"], segment["speaker"]) for segment in segments] == [(text, "S1") for text in TEXTS]
        asked = requests(tmp_path)
        stretches = sorted((one["start"], one["end"]) for one in asked if one["type"] == "voices")
        assert stretches == [(0, 20 * SECOND), (20 * SECOND, 40 * SECOND), (40 * SECOND, 60 * SECOND)]
        until(lambda: not list((tmp_path / "prepared").iterdir()))
        assert one.store.chunks(job.id) == []


def test_a_job_that_does_not_ask_for_speakers_has_none(tmp_path: Path) -> None:
    with bench(tmp_path) as one:
        job = one.ended(one.submit())

        assert job.speakers is None
        assert requests(tmp_path) == []


def test_the_server_may_have_speakers_as_its_default(tmp_path: Path) -> None:
    with bench(tmp_path, options={"speakers": True}) as one:
        asked, declined = one.submit(), one.submit(options={"speakers": False})

        assert one.ended(asked).speakers
        assert one.ended(declined).speakers is None


@pytest.mark.parametrize(
    ("then", "reason"),
    [
        ("fail", "ordered to fail"),
        ("crash", "the process ended with signal SIGSEGV"),
        ("nonsense", "the process ended with nonsense"),
        ("kill", "the process ended with signal SIGKILL"),
    ],
)
def test_a_failure_costs_the_speakers_and_nothing_else(tmp_path: Path, then: str, reason: str) -> None:
    (tmp_path / "speakers").write_text(json.dumps({"then": then}))
    with bench(tmp_path) as one:
        job = one.ended(one.submit(options=SPEAKERS))

        assert (job.status, job.error, job.speakers) == (JobStatus.DONE, None, None)
        assert one.texts(job.id) == TEXTS
        [warning] = job.warnings or []
        assert warning["code"] == "no_speakers"
        assert reason in warning["message"]


@pytest.mark.parametrize("then", ["fail", "crash", "kill"])
def test_one_failure_costs_nothing(tmp_path: Path, then: str) -> None:
    (tmp_path / "speakers").write_text(json.dumps({"then": then, "times": 1}))
    with bench(tmp_path) as one:
        job = one.ended(one.submit(options=SPEAKERS))

        assert job.speakers
        assert not job.warnings


def test_a_restart_looks_for_no_voice_again(tmp_path: Path) -> None:
    with bench(tmp_path) as one:
        job_id = one.submit(options=SPEAKERS, then="hang")
        until(lambda: sum(row.voices is not None for row in one.store.chunks(job_id)) == 2)
    (tmp_path / "uploads" / job_id).write_text(json.dumps({"chunks": THREE}))
    before = len(requests(tmp_path))
    with bench(tmp_path) as one:
        job = one.ended(job_id)

        assert job.speakers == [{"id": "S1", "name": "Speaker 1", "seconds": 45.0}]
        assert [request["type"] for request in requests(tmp_path)[before:]] == ["voices", "name"]


def test_a_cancelled_job_leaves_no_work(tmp_path: Path) -> None:
    (tmp_path / "speakers").write_text(json.dumps({"then": "hang", "times": 1}))
    with bench(tmp_path) as one:
        job_id = one.submit(options=SPEAKERS)
        until(lambda: requests(tmp_path))
        one.store.cancel(job_id)
        one.runner.cancel(job_id)

        until(lambda: not list((tmp_path / "prepared").iterdir()))
        assert one.store.get_job(job_id).status is JobStatus.CANCELLED
