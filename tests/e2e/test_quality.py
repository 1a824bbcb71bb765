"""How far a transcript can be trusted, as a server tells it: in the job, its events, its files, its webhooks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from served import Served, served

CLIP = "en-exact-0.flac"
QUIET = "silence-0.flac"


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("quality"), IDLE_TIMEOUT_SECS="0") as server:
        server.load()
        yield server


@pytest.fixture(scope="module")
def done(ready: Served) -> dict[str, Any]:
    return ready.ended(ready.submit(CLIP))


def test_clear_speech_has_words_everywhere(done: dict[str, Any]) -> None:
    quality = done["quality"]

    assert (quality["coverage"], quality["uncovered"], quality["loops_cut"]) == (1.0, [], 0)
    assert 0.3 < quality["word_probability"] <= 1.0
    assert all(set(one["quality"]) == {"word_probability", "doubtful", "repaired"} for one in done["segments"])


def test_events_and_files_say_the_same(ready: Served, done: dict[str, Any]) -> None:
    stream = ready.http.get(f"/jobs/{done['id']}/stream", headers={"Last-Event-ID": "0"}).text
    events = [json.loads(line.removeprefix("data: ")) for line in stream.splitlines() if line.startswith("data: ")]
    told = [event for event in events if "words" in event]
    file = ready.http.get(f"/jobs/{done['id']}/transcript", params={"format": "verbose_json"}).json()
    listed = ready.http.get("/jobs").json()["jobs"]

    assert [one["quality"] for one in told] == [one["quality"] for one in done["segments"]]
    assert file["quality"] == done["quality"]
    assert done["quality"] in [one.get("quality") for one in listed]


def test_a_recording_without_speech_has_nothing_to_cover(ready: Served) -> None:
    quality = ready.ended(ready.submit(QUIET))["quality"]

    assert (quality["coverage"], quality["uncovered"], quality["word_probability"]) == (None, [], None)


@pytest.mark.parametrize(("condition", "called"), [("word_probability<1.1", True), ("coverage<0.5,loops_cut", False)])
def test_a_webhook_may_be_for_doubtful_transcripts_only(ready: Served, condition: str, called: bool) -> None:
    fields = {"webhook_url": "http://127.0.0.1:9/hook", "webhook_if": condition}

    job = ready.ended(ready.submit(CLIP, **fields))

    deliveries = ready.http.get("/webhooks/deliveries", params={"job_id": job["id"]}).json()["deliveries"]
    assert bool(deliveries) is called


def test_an_unknown_condition_is_refused_with_the_known_ones(ready: Served) -> None:
    with ready.http.stream("POST", "/jobs", files={"audio": ("a", b"x")}, data={"webhook_if": "color"}) as answer:
        body = answer.read().decode()

    assert answer.status_code == 400
    assert "coverage<0.98" in body
