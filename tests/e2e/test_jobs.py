"""What a served program offers beside the contract: lists, waiting, options, retries, deletion, the recording."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from media_files import repeated
from served import CATALOG, DATA, Served, served, text_of, until
from shared_gpu import scripted

CLIP = "en-exact-0.flac"
LONG = "en-it-mixed-0.flac"


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server whose model is loaded and that keeps recordings."""
    with served(tmp_path_factory.mktemp("jobs"), IDLE_TIMEOUT_SECS="0", KEEP_AUDIO="true") as server:
        server.load()
        yield server


@pytest.fixture(scope="module")
def done(ready: Served) -> dict[str, Any]:
    return ready.ended(ready.submit(CLIP, metadata='{"customer": "42"}', priority="bulk"))


def sse(server: Served, job_id: str, **headers: str) -> list[tuple[str, dict[str, Any]]]:
    """A stream's events to its end."""
    with server.http.stream("GET", f"/jobs/{job_id}/stream", headers=headers) as response:
        lines = [line for line in response.iter_lines() if line.startswith(("event: ", "data: "))]
    kinds, data = lines[::2], lines[1::2]
    if kinds and kinds[0].startswith("data"):
        kinds, data = data, kinds
    return [(a.removeprefix("event: "), json.loads(b.removeprefix("data: "))) for a, b in zip(kinds, data, strict=True)]


# Submitting


def test_what_was_submitted_comes_back_with_the_job(done: dict[str, Any]) -> None:
    assert (done["metadata"], done["priority"]) == ({"customer": "42"}, "bulk")


def test_a_job_is_decoded_as_it_asks(ready: Served, done: dict[str, Any]) -> None:
    ids = [
        ready.submit(CLIP, word_timestamps="false"),
        ready.submit(CLIP, vad="false", beam_size="1"),
        ready.submit(CLIP, prompt="Minutes of a meeting.", hotwords="director, park", language="en"),
        ready.submit(CLIP, temperature="0.2", model="whisper-1", priority="interactive"),
    ]

    plain, whole, prompted, _ = jobs = [ready.ended(job_id) for job_id in ids]

    assert [job["status"] for job in jobs] == ["done"] * 4
    assert all(segment["words"] == [] for segment in plain["segments"])
    assert text_of(plain) == text_of(done) == CATALOG[CLIP]["text"]
    assert whole["segments"]
    assert prompted["segments"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("beam_size", "99"),
        ("temperature", "hot"),
        ("priority", "now"),
        ("metadata", "[]"),
        ("vad", "?"),
        ("model", "x"),
    ],
)
def test_a_field_that_cannot_be_used_is_named(ready: Served, field: str, value: str) -> None:
    answer = ready.http.post("/jobs", files={"audio": (CLIP, b"RIFF")}, data={field: value})

    assert answer.status_code == 400
    assert field in answer.json()["error"]


# Looking


def test_jobs_are_listed_newest_first_without_their_text(ready: Served, done: dict[str, Any]) -> None:
    ids = [ready.submit(CLIP) for _ in range(3)]
    listed, cursor = list[dict[str, Any]](), ""
    while True:
        page = ready.http.get("/jobs", params={"limit": 2, "cursor": cursor}).json()
        assert len(page["jobs"]) <= 2
        listed += page["jobs"]
        if page["next_cursor"] is None:
            break
        cursor = page["next_cursor"]

    found = [job["id"] for job in listed]
    assert found[:3] == ids[::-1]
    assert len(found) == len(set(found))
    assert done["id"] in found
    assert "segments" not in listed[0]
    for job_id in ids:
        ready.ended(job_id)
    finished = ready.http.get("/jobs", params={"status": "done", "limit": 200}).json()["jobs"]
    assert {*ids} <= {job["id"] for job in finished}
    assert {job["status"] for job in finished} == {"done"}


@pytest.mark.parametrize("query", ["status=lost", "limit=0", "limit=9999", "cursor=%21", "cursor=YQ"])
def test_a_list_that_cannot_be_is_refused(ready: Served, query: str) -> None:
    answer = ready.http.get(f"/jobs?{query}")

    assert answer.status_code == 400
    assert query.partition("=")[0] in answer.json()["error"]


def test_a_get_waits_for_the_end_of_the_job(ready: Served) -> None:
    job = ready.http.get(f"/jobs/{ready.submit(CLIP)}", params={"wait": 60}).json()

    assert job["status"] == "done"


def test_a_wait_ends_in_time_and_at_once_for_what_is_over(ready: Served, done: dict[str, Any], tmp_path: Path) -> None:
    started = time.monotonic()
    assert ready.http.get(f"/jobs/{done['id']}", params={"wait": 60}).json() == done
    assert ready.http.get("/jobs/none", params={"wait": 60}).status_code == 404
    assert ready.http.get(f"/jobs/{done['id']}", params={"wait": 61}).status_code == 400
    assert time.monotonic() - started < 30
    with served(tmp_path, CUDA_DEVICE="0", WHISPER_MODEL="tiny", HF_HUB_OFFLINE="1") as without_model:
        waiting = without_model.submit(CLIP, queue="true")
        started = time.monotonic()
        assert without_model.http.get(f"/jobs/{waiting}", params={"wait": 1}).json()["status"] == "queued"
        assert 1 <= time.monotonic() - started < 30


def test_text_is_streamed_as_soon_as_it_is_known(ready: Served) -> None:
    job_id = ready.submit(LONG)

    heard = sse(ready, job_id, **{"Last-Event-ID": "0"})

    kinds = [kind for kind, _ in heard]
    assert kinds[-1] == "done"
    segments = [data for kind, data in heard if kind == "segment"]
    assert segments
    assert [segment["index"] for segment in segments] == list(range(len(segments)))
    starts = [segment["start"] for segment in segments]
    assert starts == sorted(starts)
    known = " ".join(segment["text"] for segment in segments)
    assert known == text_of(heard[-1][1]["job"])


def test_a_stream_that_went_on_has_all_and_one_of_an_ended_job_only_its_end(
    ready: Served, done: dict[str, Any]
) -> None:
    everything = [kind for kind, _ in sse(ready, done["id"], **{"Last-Event-ID": "0"})]

    assert "language" in everything
    assert "segment" in everything
    assert everything[-1] == "done"
    assert [kind for kind, _ in sse(ready, done["id"])] == ["done"]


# Cancelled, failed, deleted


def test_a_cancelled_job_is_tried_again(ready: Served) -> None:
    with ready.paused("engine"):
        job_id = ready.submit(LONG)
        assert ready.http.delete(f"/jobs/{job_id}").json()["status"] == "cancelled"

    answer = ready.http.post(f"/jobs/{job_id}/retry")

    assert answer.status_code == 202
    assert (answer.json()["id"], answer.json()["status"], answer.json()["completed_at"]) == (job_id, "queued", None)
    again = ready.ended(job_id)
    assert again["status"] == "done"
    assert text_of(again)
    assert sum(kind == "done" for kind, _ in sse(ready, job_id)) == 1


def test_a_failed_job_is_tried_again_and_keeps_its_recording(ready: Served) -> None:
    answer = ready.http.post("/jobs", files={"audio": ("notes.txt", b"no recording at all")})
    job_id = answer.json()["job_id"]
    assert ready.ended(job_id)["error_code"] == "not_media"

    assert ready.http.post(f"/jobs/{job_id}/retry").status_code == 202
    assert ready.ended(job_id)["error_code"] == "not_media"
    assert ready.http.get(f"/jobs/{job_id}/audio").content == b"no recording at all"


def test_what_cannot_be_tried_again_says_why(ready: Served, done: dict[str, Any], tmp_path: Path) -> None:
    answer = ready.http.post(f"/jobs/{done['id']}/retry")
    assert answer.status_code == 409
    assert "done" in answer.json()["error"]
    assert ready.http.post("/jobs/none/retry").status_code == 404
    with served(tmp_path) as forgetful:
        job_id = forgetful.submit(CLIP, queue="true")
        forgetful.http.delete(f"/jobs/{job_id}")
        until(lambda: forgetful.http.get(f"/jobs/{job_id}/audio").status_code == 404)
        answer = forgetful.http.post(f"/jobs/{job_id}/retry")
        assert answer.status_code == 409
        assert "not stored" in answer.json()["error"]


def test_a_purged_job_is_gone_with_its_recording(ready: Served) -> None:
    job_id = ready.submit(CLIP)
    unfinished = ready.http.delete(f"/jobs/{job_id}", params={"purge": True})
    assert unfinished.status_code in (200, 409)
    if unfinished.status_code == 409:
        assert "cancel it first" in unfinished.json()["error"]
        job = ready.ended(job_id)
        assert ready.http.delete(f"/jobs/{job_id}", params={"purge": True}).json() == job

    for path in ("", "/stream", "/audio", "/transcript"):
        assert ready.http.get(f"/jobs/{job_id}{path}").status_code == 404
    assert ready.http.delete(f"/jobs/{job_id}", params={"purge": True}).status_code == 404


# The recording


def test_the_recording_is_had_whole_and_in_parts(ready: Served, done: dict[str, Any]) -> None:
    sent = (DATA / CLIP).read_bytes()
    url = f"/jobs/{done['id']}/audio"

    whole = ready.http.get(url)
    part = ready.http.get(url, headers={"Range": "bytes=100-199"})
    end = ready.http.get(url, headers={"Range": "bytes=-10"})
    beyond = ready.http.get(url, headers={"Range": f"bytes={len(sent)}-"})

    assert (whole.status_code, whole.content) == (200, sent)
    assert whole.headers["Accept-Ranges"] == "bytes"
    assert whole.headers["Content-Type"].startswith("audio/")
    assert whole.headers["Content-Disposition"].startswith('attachment; filename="en-exact-0.flac"')
    assert (part.status_code, part.content) == (206, sent[100:200])
    assert part.headers["Content-Range"] == f"bytes 100-199/{len(sent)}"
    assert (end.status_code, end.content) == (206, sent[-10:])
    assert beyond.status_code == 416
    assert beyond.headers["Content-Range"] == f"bytes */{len(sent)}"


def test_a_recording_is_never_a_page(ready: Served) -> None:
    name = '../"x"<i>.html'
    job_id = ready.http.post("/jobs", files={"audio": (name, b"<script>")}).json()["job_id"]

    answer = ready.http.get(f"/jobs/{job_id}/audio")

    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Disposition"].startswith("attachment; ")
    assert ".." not in answer.headers["Content-Disposition"]


def test_no_recording_is_told(ready: Served) -> None:
    answer = ready.http.get("/jobs/none/audio")

    assert (answer.status_code, answer.json()) == (404, {"error": "job none not found"})


# What reaches the model, and what does not hold up the server


def test_prompt_and_hot_words_reach_the_model(ready: Served) -> None:
    plain, prompted, hot = (
        ready.ended(ready.submit(CLIP, **fields))["segments"][0]["avg_logprob"]
        for fields in ({}, {"prompt": "The minutes of the meeting."}, {"hotwords": "Scrivano, Ferrara"})
    )

    assert len({plain, prompted, hot}) == 3


def test_without_vad_silence_is_decoded_too(ready: Served) -> None:
    heard, skipped = (ready.submit("silence-0.flac", vad=vad) for vad in ("false", "true"))

    assert {ready.ended(job_id)["status"] for job_id in (heard, skipped)} == {"done"}
    chunks = [
        [data["chunks_total"] for kind, data in sse(ready, job_id, **{"Last-Event-ID": "0"}) if kind == "progress"]
        for job_id in (heard, skipped)
    ]
    assert (chunks[0][-1] >= 1, chunks[1]) == (True, [])


def test_a_call_that_waits_does_not_hold_up_the_servers_end(tmp_path: Path) -> None:
    with served(tmp_path, WHISPER_MODEL="tiny", HF_HUB_OFFLINE="1") as server:
        job_id = server.submit(CLIP, queue="true")
        waiting = HTTPConnection(str(server.http.base_url.host), server.http.base_url.port, timeout=60)
        waiting.request("GET", f"/jobs/{job_id}?wait=60")
        server.http.get("/health")  # came later, and is answered: the call that waits has begun
        server.close()

        assert json.loads(waiting.getresponse().read())["id"] == job_id
        waiting.close()


@pytest.mark.parametrize("asked", ["bytes=5-2", "bytes=", "bytes=-0", "lines=1-2", "bytes=0-1,x", "bytes=99999999-"])
def test_a_part_that_is_not_there_is_refused_in_json(ready: Served, done: dict[str, Any], asked: str) -> None:
    answer = ready.http.get(f"/jobs/{done['id']}/audio", headers={"Range": asked})

    assert (answer.status_code, set(answer.json())) == (416, {"error"})
    assert answer.headers["Content-Range"] == f"bytes */{(DATA / CLIP).stat().st_size}"


def test_clips_do_not_wait_for_a_long_recording_nor_starve_it(ready: Served, tmp_path: Path) -> None:
    long = repeated(tmp_path / "long.wav", seconds=600)
    over, done = Event(), [0] * 4

    def clips(number: int) -> None:
        while not over.is_set():
            job_id = ready.submit("en-clean-short-00.flac", language="en")
            assert ready.http.get(f"/jobs/{job_id}?wait=60").json()["status"] == "done"
            done[number] += 1

    job_id = ready.http.post("/jobs", files={"audio": long.read_bytes()}).json()["job_id"]
    until(lambda: ready.job(job_id)["progress"] > 0)
    with ThreadPoolExecutor(4) as threads:
        flood = [threads.submit(clips, number) for number in range(4)]
        try:
            before = ready.job(job_id)["progress"]
            # Both go on. Were one of them last, the other one would be over: the long one takes many times a clip.
            until(lambda: min(done) >= 3)
            assert ready.job(job_id)["status"] == "running"
            until(lambda: ready.job(job_id)["progress"] > before)
        finally:
            over.set()
    for one in flood:
        one.result()
    assert ready.http.delete(f"/jobs/{job_id}").status_code == 200


def test_a_stream_says_why_its_job_waits(tmp_path: Path) -> None:
    with scripted(tmp_path, free_mb=8000, load=["told"]) as (server, _):
        job_id = server.submit(CLIP, queue="true")
        events: list[dict[str, Any]] = []
        with server.http.stream("GET", f"/jobs/{job_id}/stream") as answer:
            for line in answer.iter_lines():
                if line.startswith("data: "):
                    events.append(json.loads(line.partition(": ")[2]))
                    (
                        tmp_path / "data" / "told"
                    ).touch()  # The model loads once somebody has heard that it does not yet.

    waits = [event for event in events if event["type"] == "waiting_for"]
    assert {event["state"] for event in waits[:-1]} <= {"unloaded", "loading"}
    assert waits[0]["model"] == "large-v3"
    assert len(waits) > 1
    assert waits[-1]["state"] == "ready"
    assert events[-1]["type"] == "done"
