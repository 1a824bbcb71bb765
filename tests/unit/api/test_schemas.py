"""Bodies of responses: which fields are absent, and which are null."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

from scrivano.api.schemas import (
    JobListResponse,
    JobResponse,
    JobSummary,
    ModelDownload,
    ModelStatusResponse,
    job_json,
    job_json_chunks,
)
from scrivano.domain.job import Job, JobStatus, Task
from scrivano.running.model_state import ModelState

QUEUED = Job(
    id="j1",
    status=JobStatus.QUEUED,
    task=Task.TRANSCRIBE,
    created_at=datetime(2030, 1, 2, 3, 4, 5, 678901, tzinfo=UTC),
)
DONE = replace(
    QUEUED,
    status=JobStatus.DONE,
    progress=100,
    language="en",
    duration_secs=7.0841,
    completed_at=datetime(2030, 1, 2, 3, 4, 6, tzinfo=UTC),
    filename="Sitzung ä.wav",
    webhook_url="https://example.com/hook",
    options={"priority": "bulk", "model": "small", "metadata": {"customer": "42"}, "beam_size": 1},
)


def test_a_new_job_has_null_where_a_value_will_be_and_no_optional_fields() -> None:
    assert json.loads(job_json(QUEUED)) == {
        "id": "j1",
        "status": "queued",
        "task": "transcribe",
        "progress": 0,
        "language": None,
        "duration_secs": None,
        "created_at": "2030-01-02T03:04:05.678Z",
        "completed_at": None,
        "segments": [],
    }


def test_a_job_shows_what_it_was_submitted_with() -> None:
    shown = json.loads(job_json(DONE))

    assert (shown["duration_secs"], shown["completed_at"]) == (7.084, "2030-01-02T03:04:06.000Z")
    assert (shown["filename"], shown["webhook_url"]) == ("Sitzung ä.wav", "https://example.com/hook")
    assert (shown["priority"], shown["model"], shown["metadata"]) == ("bulk", "small", {"customer": "42"})
    assert "beam_size" not in shown


def test_a_job_shows_what_was_found_out_about_its_recording() -> None:
    audio = {"track": 1, "codec": "aac", "channels": 2, "sample_rate": 48000, "duration": None, "start": 0.5}
    warnings = [{"code": "quiet", "message": "so", "at": None}]

    shown = json.loads(job_json(replace(DONE, audio=audio, warnings=warnings)))

    assert (shown["audio"], shown["warnings"]) == (audio, warnings)


def test_stored_segments_are_passed_through_and_the_whole_is_a_job_response() -> None:
    words: dict[str, object] = {"index": 0, "start": 0.1, "end": 1.0, "text": "So.", "words": [], "tokens": [1]}
    quality = {"temperature": 0.0, "avg_logprob": -0.2, "no_speech_prob": 0.1, "compression_ratio": 1.0}
    stored = json.dumps([words | quality]).encode()

    assert stored in job_json_chunks(DONE, stored)
    assert JobResponse.model_validate_json(job_json(DONE, stored)).segments[0].text == "So."


def test_a_list_of_jobs_has_no_segments_and_says_that_it_is_the_last_page() -> None:
    page = json.loads(JobListResponse(jobs=[JobSummary.of(QUEUED)], next_cursor=None).to_json())

    assert page["next_cursor"] is None
    assert "segments" not in page["jobs"][0]


def test_a_model_shows_only_what_is_known_of_it() -> None:
    status = ModelStatusResponse(
        state=ModelState.LOADING, model="nano", download=ModelDownload(done_bytes=1, total_bytes=None)
    )

    assert json.loads(status.to_json()) == {"state": "loading", "model": "nano", "download": {"done_bytes": 1}}
