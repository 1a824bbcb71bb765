"""Corrections, searches and waveforms of a running server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from served import Served, served

CLIP = "en-exact-0.flac"
RIGHT = "The new director will arrive at the harbour next week."


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("corrections"), ADMISSION="queue") as server:
        yield server


@pytest.fixture
def done(server: Served) -> dict[str, Any]:
    return server.ended(server.submit(CLIP, keep_audio="true"))


def found(server: Served, query: str) -> list[dict[str, Any]]:
    jobs: list[dict[str, Any]] = server.http.get("/jobs", params={"search": query}).json()["jobs"]
    return jobs


def test_a_correction_is_in_every_file_and_search_and_can_be_taken_back(server: Served, done: dict[str, Any]) -> None:
    job_id, before = done["id"], done["segments"][0]
    correction = f"/jobs/{job_id}/segments/0/correction"

    answer = server.http.put(correction, json={"text": RIGHT})

    assert answer.status_code == 200
    assert answer.json() == server.job(job_id)["segments"][0]
    assert answer.json()["text"] == RIGHT
    assert answer.json()["original"]["text"] == before["text"]
    for format in ("txt", "srt", "vtt", "tsv", "json", "verbose_json", "lrc"):
        text = server.http.get(f"/jobs/{job_id}/transcript", params={"format": format, "max_line_chars": 200}).text
        assert "harbour" in text, format
    [hit] = found(server, "harbour")
    assert hit["id"] == job_id
    assert "at the harbour" in hit["excerpt"]

    assert server.http.delete(correction).json() == before
    assert found(server, "harbour") == []
    assert server.job(job_id)["segments"] == done["segments"]


def test_errors_say_what_is_wrong(server: Served, done: dict[str, Any]) -> None:
    path = f"/jobs/{done['id']}/segments"
    count = len(done["segments"])

    missing = server.http.put(f"{path}/{count}/correction", json={"text": "x"})
    assert (missing.status_code, "numbered from 0" in missing.json()["error"]) == (404, True)
    for body in ({}, {"text": 3}, {"text": "x" * 10_001}):
        refused = server.http.put(f"{path}/0/correction", json=body)
        assert (refused.status_code, "text" in refused.json()["error"]) == (400, True)
    assert server.http.put("/jobs/none/segments/0/correction", json={"text": "x"}).status_code == 404


def test_corrections_survive_a_restart(tmp_path: Path) -> None:
    with served(tmp_path, ADMISSION="queue") as server:
        job_id = server.ended(server.submit(CLIP))["id"]
        server.http.put(f"/jobs/{job_id}/segments/0/correction", json={"text": RIGHT})
    with served(tmp_path) as server:
        assert server.job(job_id)["segments"][0]["text"] == RIGHT


def test_the_waveform_is_as_long_as_the_recording_and_loud_where_speech_is(
    server: Served, done: dict[str, Any]
) -> None:
    whole = server.http.get(f"/jobs/{done['id']}/waveform").json()
    few = server.http.get(f"/jobs/{done['id']}/waveform", params={"points": 10}).json()

    assert whole["peak_secs"] * len(whole["peaks"]) == pytest.approx(done["duration_secs"], abs=0.1)
    first = done["segments"][0]
    spoken = whole["peaks"][int(first["start"] / whole["peak_secs"]) : int(first["end"] / whole["peak_secs"])]
    assert max(spoken) > 20
    assert len(few["peaks"]) <= 10
    assert max(few["peaks"]) == max(whole["peaks"])
    assert server.http.get(f"/jobs/{done['id']}/audio").status_code == 200, "keep_audio=true"
    assert server.http.get("/jobs/none/waveform").status_code == 404
