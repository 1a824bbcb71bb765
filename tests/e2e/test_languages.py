"""Recordings of several languages, and languages that are restricted, through a served program."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from media_files import samples, write
from served import CATALOG, DATA, Served, served, start, text_of, word_error_rate, words

ENGLISH = "en-exact-0.flac"
MIXED = "en-it-mixed-0.flac"
ITALIAN_BEGINS = 29.5
ITALIAN = " ".join(one["text"] for one in CATALOG[MIXED]["sentences"] if one["language"] == "it")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("languages"), IDLE_TIMEOUT_SECS="0") as running:
        running.load()
        yield running


def told(server: Served, job_id: str, kind: str) -> list[Mapping[str, Any]]:
    """The data of a job's events of one kind."""
    body = server.http.get(f"/jobs/{job_id}/stream", headers={"Last-Event-ID": "0"}).text
    data = [json.loads(line.removeprefix("data: ")) for line in body.splitlines() if line.startswith("data: ")]
    return [one for one in data if one["type"] == kind]


def test_each_segment_of_a_multilingual_job_tells_its_language(server: Served) -> None:
    job = server.ended(server.submit(MIXED, multilingual="true"))

    spoken = [(segment["start"] >= ITALIAN_BEGINS, segment["language"]) for segment in job["segments"]]
    assert spoken == sorted(spoken)
    assert set(spoken) == {(False, "en"), (True, "it")}
    seconds = {
        language: sum(one["end"] - one["start"] for one in job["segments"] if one["language"] == language)
        for language in ("en", "it")
    }
    assert job["language"] == max(seconds, key=lambda language: seconds[language])  # of which there is more
    italian = {**job, "segments": [one for one in job["segments"] if one["start"] >= ITALIAN_BEGINS]}
    assert word_error_rate(ITALIAN, text_of(italian)) < 0.1
    alone = server.ended(server.submit(MIXED))
    assert word_error_rate(CATALOG[MIXED]["text"], text_of(job)) <= word_error_rate(
        CATALOG[MIXED]["text"], text_of(alone)
    )
    assert not any("language" in segment for segment in alone["segments"])


def test_streams_and_files_tell_the_languages_too(server: Served) -> None:
    job_id = server.submit(MIXED, multilingual="true")
    job = server.ended(job_id)

    file = server.http.get(f"/jobs/{job_id}/transcript", params={"format": "verbose_json"}).json()
    expected = [segment["language"] for segment in job["segments"]]
    assert [segment["language"] for segment in file["segments"]] == expected
    assert {segment["language"] for segment in told(server, job_id, "segment")} == {"en", "it"}
    assert [one["language"] for one in told(server, job_id, "language")] == ["en"]


def test_a_multilingual_recording_is_translated_whole(server: Served) -> None:
    job = server.ended(server.submit(MIXED, multilingual="true", task="translate"))

    assert {segment["language"] for segment in job["segments"]} == {"en", "it"}
    assert "the frog sees the snake" in " ".join(words(text_of(job)))


@pytest.mark.parametrize(("languages", "chosen"), [("it,fr", "it"), ("EN, it", "en"), ("fr", "fr")])
def test_the_language_is_found_among_the_allowed_ones(server: Served, languages: str, chosen: str) -> None:
    job_id = server.submit(ENGLISH, languages=languages)

    assert server.ended(job_id)["language"] == chosen
    events = told(server, job_id, "language")
    assert [event["language"] for event in events] == ([] if chosen == "fr" else [chosen])
    assert all(event["probability"] > 0.9 for event in events)


def test_openais_list_of_languages_restricts_the_detection(server: Served) -> None:
    form = {"languages[]": ["it", "fr"], "response_format": "verbose_json"}
    upload = {"file": (ENGLISH, (DATA / ENGLISH).read_bytes())}

    assert server.http.post("/v1/audio/transcriptions", files=upload, data=form).json()["language"] == "italian"


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ({"languages[]": ["it", "klingon"]}, "languages must be ISO 639-1 codes"),
        ({"languages": "it,fr", "language": "en"}, "language is 'en', which is none of languages (fr, it)"),
        ({"multilingual": "true", "language": "en"}, "leave out language"),
        ({"multilingual": "perhaps"}, "multilingual must be 'true' or 'false'"),
    ],
)
def test_wishes_that_contradict_each_other_are_refused(server: Served, form: dict[str, Any], message: str) -> None:
    answer = server.http.post("/jobs", files={"audio": (ENGLISH, (DATA / ENGLISH).read_bytes())}, data=form)

    assert answer.status_code == 400
    assert message in answer.json()["error"]


def spoken(job: Mapping[str, Any]) -> list[tuple[str, str, float, float]]:
    return [(one["text"], one["language"], one["start"], one["end"]) for one in job["segments"]]


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_kills_change_no_language(tmp_path: Path) -> None:
    long = write(tmp_path / "four-times.wav", np.tile(samples(DATA / MIXED), 4))
    form = {"multilingual": "true", "queue": "true"}
    with served(tmp_path / "undisturbed") as server:
        answer = server.http.post("/jobs", files={"audio": (long.name, long.read_bytes())}, data=form)
        began = time.monotonic()
        expected = server.ended(answer.json()["job_id"])
        alone_s = time.monotonic() - began
    assert [one["language"] for one in expected["segments"]].count("it") > 20

    server = Served(start(tmp_path / "killed"))
    try:
        job_id = server.http.post("/jobs", files={"audio": (long.name, long.read_bytes())}, data=form).json()["job_id"]
        for _ in range(3):
            server.load()
            time.sleep(alone_s / 6)
            server.process.kill()
            server.close()
            server = Served(start(tmp_path / "killed"))
        assert spoken(server.ended(job_id)) == spoken(expected)
    finally:
        server.close()
