"""`GET /jobs/{id}/transcript` of a running server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import srt
import webvtt
from media_files import repeated
from served import CATALOG, Served, served, text_of, until

CLIP = "en-exact-0.flac"


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("ready"), IDLE_TIMEOUT_SECS="0") as server:
        server.load()
        yield server


@pytest.fixture(scope="module")
def done(ready: Served) -> dict[str, Any]:
    return ready.ended(ready.submit(CLIP))


def transcript(server: Served, job_id: str, **query: str | int | float) -> Any:
    return server.http.get(f"/jobs/{job_id}/transcript", params=query)


@pytest.mark.parametrize(
    ("format", "media_type", "extension"),
    [
        ("txt", "text/plain", "txt"),
        ("srt", "application/x-subrip", "srt"),
        ("vtt", "text/vtt", "vtt"),
        ("tsv", "text/tab-separated-values", "tsv"),
        ("json", "application/json", "json"),
        ("verbose_json", "application/json", "json"),
        ("lrc", "text/plain", "lrc"),
    ],
)
def test_a_done_job_is_had_in_every_format(
    ready: Served, done: dict[str, Any], format: str, media_type: str, extension: str
) -> None:
    answer = transcript(ready, done["id"], format=format)

    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == f"{media_type}; charset=utf-8"
    name = f"en-exact-0.{extension}"
    assert answer.headers["Content-Disposition"] == f"attachment; filename=\"{name}\"; filename*=UTF-8''{name}"
    for word in CATALOG[CLIP]["text"].split():
        assert word in answer.text


def test_the_model_is_not_needed(ready: Served, done: dict[str, Any]) -> None:
    before = transcript(ready, done["id"], format="srt").text
    ready.http.post("/model/unload")
    until(lambda: ready.state() == "unloaded")

    assert transcript(ready, done["id"], format="srt").text == before
    assert ready.state() == "unloaded"
    ready.load()


def test_subtitles_are_shaped_and_keep_every_word(ready: Served, done: dict[str, Any]) -> None:
    wide = list(srt.parse(transcript(ready, done["id"], format="srt").text))
    narrow = list(srt.parse(transcript(ready, done["id"], format="srt", max_line_chars=16, max_lines=1).text))
    vtt = webvtt.from_string(transcript(ready, done["id"], format="vtt", profile="youtube").text).captions

    for cues in ([one.content for one in wide], [one.content for one in narrow], [one.text for one in vtt]):
        assert " ".join(cues).split() == text_of(done).split()
    assert len(narrow) > len(wide)
    assert all(len(one.content) <= 16 for one in narrow)
    assert all(len(line) <= 32 for one in vtt for line in one.lines)
    assert wide[0].start.total_seconds() == done["segments"][0]["words"][0]["start"]


def test_a_check_lists_what_breaks_the_profile(ready: Served, done: dict[str, Any]) -> None:
    report = transcript(ready, done["id"], format="srt", check="true", profile="netflix", max_chars_per_sec=1).json()

    cues = list(srt.parse(transcript(ready, done["id"], format="srt", profile="netflix", max_chars_per_sec=1).text))
    assert report["profile"] == "netflix"
    assert report["limits"] == {
        "max_line_chars": 42,
        "max_lines": 2,
        "max_cue_secs": 7.0,
        "min_cue_secs": pytest.approx(5 / 6),
        "max_chars_per_sec": 1.0,
    }
    assert report["cues"] == len(cues)
    assert report["breaches"]
    for breach in report["breaches"]:
        cue = cues[breach["cue"] - 1]
        chars = len(cue.content.replace("\n", ""))
        assert (breach["rule"], breach["limit"]) == ("max_chars_per_sec", 1.0)
        assert breach["value"] == pytest.approx(chars / (cue.end - cue.start).total_seconds(), abs=0.011)


@pytest.mark.parametrize(
    "query",
    [
        {"format": "docx"},
        {"profile": "cinema"},
        {"max_line_chars": 0},
        {"max_cue_secs": "nan"},
        {"max_cue_secs": 1, "min_cue_secs": 2},
        {"format": "txt", "check": "true"},
    ],
)
def test_what_cannot_be_is_refused_with_a_reason(ready: Served, done: dict[str, Any], query: dict[str, Any]) -> None:
    answer = transcript(ready, done["id"], **query)

    assert answer.status_code == 400
    assert any(name.partition("_")[0] in answer.json()["error"] for name in query)


def test_a_head_is_answered_like_a_get(ready: Served, done: dict[str, Any]) -> None:
    path = f"/jobs/{done['id']}/transcript?format=srt"
    head, get = ready.http.head(path), ready.http.get(path)

    assert (head.status_code, head.content) == (200, b"")
    names = ("content-type", "content-length", "content-disposition")
    assert [head.headers[name] for name in names] == [get.headers[name] for name in names]


def test_an_unknown_job_is_404(ready: Served) -> None:
    answer = transcript(ready, "nope")

    assert (answer.status_code, answer.json()) == (404, {"error": "job nope not found"})


def test_a_job_that_ended_without_a_transcript_says_so(ready: Served) -> None:
    failed = ready.http.post("/jobs", files={"audio": ("x.wav", b"no recording")}).json()["job_id"]
    ready.ended(failed)

    for query in ({}, {"partial": "true"}):
        answer = transcript(ready, failed, **query)
        assert answer.status_code == 409
        assert answer.json() == {"error": f"job {failed} is failed and has no transcript; its error says why"}


def test_a_running_job_shows_what_is_known_only_when_asked(ready: Served, tmp_path: Path) -> None:
    recording = repeated(tmp_path / "three-minutes.wav", seconds=180)
    with ready.paused("engine"):
        files = {"audio": ("\u4f1a\u8bae A.wav", recording.read_bytes())}
        job_id = ready.http.post("/jobs", files=files).json()["job_id"]
        refused = transcript(ready, job_id, format="vtt")
        empty = transcript(ready, job_id, format="vtt", partial="true")
    until(lambda: ready.job(job_id)["progress"])
    with ready.paused("engine"):
        known = transcript(ready, job_id, partial="true").text
    job = ready.ended(job_id)
    whole = transcript(ready, job_id, partial="true")

    assert refused.status_code == 409
    assert "partial=true" in refused.json()["error"]
    assert (empty.status_code, empty.text) == (200, "WEBVTT\n")
    assert "" != known in whole.text != known
    assert whole.text == "".join(f"{segment['text']}\n" for segment in job["segments"])
    assert whole.headers["Content-Disposition"] == (
        "attachment; filename=\"A.txt\"; filename*=UTF-8''%E4%BC%9A%E8%AE%AE_A.txt"
    )
