"""The HTTP contract, line by line, against a server in its own process and by plain HTTP."""

from __future__ import annotations

import json
import re
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

import httpx2
import pytest
from media_files import repeated
from served import CATALOG, DATA, Served, served, text_of, until, words
from webhook_receiver import Receiver

UTC_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
CLIP = "en-exact-0.flac"


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server whose model is loaded and stays so."""
    with served(tmp_path_factory.mktemp("ready"), IDLE_TIMEOUT_SECS="0") as server:
        server.load()
        yield server


@pytest.fixture
def cold(tmp_path: Path) -> Iterator[Served]:
    with served(tmp_path) as server:
        yield server


@pytest.fixture(scope="module")
def unloaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server for what loads no model."""
    with served(tmp_path_factory.mktemp("unloaded")) as server:
        yield server


def form(name: str = CLIP, **fields: str) -> dict[str, Any]:
    return {"files": {"audio": (name, (DATA / name).read_bytes())}, "data": fields}


def events(response: httpx2.Response) -> Iterator[tuple[str, dict[str, Any], str]]:
    """`event`, `data`, `id` of each frame."""
    fields: dict[str, str] = {}
    for line in response.iter_lines():
        if not line and "data" in fields:
            yield fields.get("event", ""), json.loads(fields["data"]), fields.get("id", "")
            fields = {}
        elif line and not line.startswith(":"):
            name, _, value = line.partition(": ")
            fields[name] = value


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


@pytest.fixture(scope="module")
def ten_minutes(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """So long that it is still being heard when a test looks, however busy the machine."""
    return repeated(tmp_path_factory.mktemp("long") / "ten-minutes.wav", seconds=600).read_bytes()


# The model -------------------------------------------------------------------------------------------------------


def test_a_server_starts_unloaded_and_the_first_submission_loads_the_model(cold: Served) -> None:
    assert cold.http.get("/model/status").json()["state"] == "unloaded"

    answer = cold.http.post("/jobs", **form())

    assert answer.status_code == 503
    assert answer.json() == {"error": "model_not_ready", "state": "unloaded", "retry_after_secs": 30}
    assert answer.headers["Retry-After"] == "30"
    until(lambda: cold.state() == "ready")
    assert CATALOG[CLIP]["text"] == text_of(cold.ended(cold.submit(CLIP)))


def test_the_model_loads_tells_unloads_and_loads_again(cold: Served) -> None:
    with ThreadPoolExecutor() as pool, cold.http.stream("GET", "/model/events") as stream:
        heard = pool.submit(lambda: list(islice(events(stream), 4)))

        first = cold.http.post("/model/load")
        assert (first.status_code, first.json()) == (202, {"status": "load_initiated"})
        until(lambda: cold.state() == "ready")
        again = cold.http.post("/model/load")
        assert (again.status_code, again.json()) == (200, {"status": "already_ready"})
        status = cold.http.get("/model/status").json()
        assert UTC_TIME.fullmatch(status["loaded_at"])
        for _ in range(2):
            unload = cold.http.post("/model/unload")
            assert (unload.status_code, unload.json()) == (200, {"status": "unload_requested"})
        until(lambda: cold.state() == "unloaded")
        assert cold.children("engine") == []
        cold.http.post("/model/load")
        types = [(type, data) for type, data, _ in heard.result(60)]

    assert [type for type, _ in types] == ["model_loading", "model_ready", "model_unloaded", "model_loading"]
    assert all(data["type"] == type for type, data in types)
    assert types[1][1] == {"type": "model_ready", "loaded_at": status["loaded_at"]}
    assert types[2][1] == {"type": "model_unloaded"}


def test_an_idle_model_unloads(tmp_path: Path) -> None:
    with served(tmp_path, IDLE_TIMEOUT_SECS="1") as server:
        with server.http.stream("GET", "/model/events") as stream:
            server.http.post("/model/load")
            heard = [type for type, *_ in islice(events(stream), 3)]
        assert heard == ["model_loading", "model_ready", "model_unloaded"]
        assert server.children("engine") == []


def test_without_a_gpu_its_figures_are_absent_or_null(ready: Served) -> None:
    status = ready.http.get("/model/status").json()
    health = ready.http.get("/health").json()

    assert set(health) >= {"status", "gpu_name", "vram_total_mb", "model", "queue_depth", "model_state"}
    assert (health["status"], health["model"], health["model_state"]) == ("ok", "nano", "ready")
    if health["gpu_name"] is None:
        assert health["vram_total_mb"] is None
        assert not {"vram_used_mb", "vram_total_mb"} & set(status)


# Jobs ------------------------------------------------------------------------------------------------------------


def test_a_job_has_the_fields_of_the_contract(ready: Served) -> None:
    job_id = ready.submit(CLIP)
    assert uuid.UUID(job_id).version == 4

    job = ready.ended(job_id)

    assert (job["id"], job["status"], job["task"], job["progress"]) == (job_id, "done", "transcribe", 100)
    assert job["language"] == "en"
    assert job["filename"] == CLIP
    assert job["duration_secs"] == pytest.approx(CATALOG[CLIP]["duration"], abs=0.1)
    assert UTC_TIME.fullmatch(job["created_at"])
    assert datetime.fromisoformat(job["created_at"]) <= datetime.fromisoformat(job["completed_at"])
    assert "error" not in job
    assert "webhook_url" not in job
    assert text_of(job) == CATALOG[CLIP]["text"]
    for index, segment in enumerate(job["segments"]):
        assert segment["index"] == index
        assert 0 <= segment["start"] <= segment["end"] <= job["duration_secs"]
        assert "".join(word["text"] for word in segment["words"]) == segment["text"]
        for word in segment["words"]:
            assert segment["start"] <= word["start"] <= word["end"] <= segment["end"]
            assert 0 <= word["probability"] <= 1


def test_language_and_task_are_obeyed(ready: Served) -> None:
    name = "it-exact-0.flac"
    detected, given, translated = (
        ready.ended(ready.submit(name, **fields))
        for fields in ({}, {"language": "it"}, {"task": "translate", "language": "it"})
    )

    assert detected["language"] == given["language"] == "it"
    assert text_of(detected) == text_of(given) == CATALOG[name]["text"]
    assert translated["task"] == "translate"
    assert set(words(text_of(translated))) & set(words(CATALOG[name]["translation_en"]))


def test_fields_come_in_any_order_and_unknown_ones_are_ignored(ready: Served) -> None:
    boundary = "frontier"
    parts = [
        b'Content-Disposition: form-data; name="unknown"\r\n\r\nx',
        b'Content-Disposition: form-data; name="audio"; filename="a.flac"\r\nContent-Type: audio/flac\r\n\r\n'
        + (DATA / CLIP).read_bytes(),
        b'Content-Disposition: form-data; name="language"\r\n\r\nen',
    ]
    body = b"".join(b"--frontier\r\n" + part + b"\r\n" for part in parts) + b"--frontier--\r\n"
    headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}

    answer = ready.http.post("/jobs", content=body, headers=headers)

    assert answer.status_code == 202
    assert text_of(ready.ended(answer.json()["job_id"])) == CATALOG[CLIP]["text"]


BAD_REQUESTS: list[tuple[dict[str, Any], str]] = [
    ({"files": {"sound": ("a.wav", b"x")}}, "missing 'audio' field"),
    ({"files": {"audio": ("a.wav", b"")}}, "audio field is empty"),
    ({"files": {"audio": ("a.wav", b"x")}, "data": {"task": "sing"}}, "task must be 'transcribe' or 'translate'"),
    ({"content": b"x", "headers": {"Content-Type": "multipart/form-data; boundary=b"}}, "multipart error: "),
    ({"json": {"audio": "x"}}, "multipart error: "),
    ({"files": {"audio": ("a.wav", b"x")}, "data": {"language": "klingon"}}, "language must be an ISO 639-1 code"),
    ({"files": {"audio": ("a.wav", b"x")}, "data": {"webhook_url": "ftp://a"}}, "webhook_url must be"),
]


@pytest.mark.parametrize(("request_", "error"), BAD_REQUESTS, ids=[error for _, error in BAD_REQUESTS])
def test_a_bad_request_is_told_so_whatever_the_models_state(ready: Served, request_: Any, error: str) -> None:
    answer = ready.http.post("/jobs", **request_)

    assert answer.status_code == 400
    assert answer.headers["Content-Type"] == "application/json"
    assert set(answer.json()) == {"error"}
    assert answer.json()["error"].startswith(error)


def test_a_bad_request_does_not_load_the_model(unloaded: Served) -> None:
    for request, error in BAD_REQUESTS:
        answer = unloaded.http.post("/jobs", **request)
        assert (answer.status_code, answer.json()["error"][: len(error)]) == (400, error)
    assert unloaded.state() == "unloaded"
    assert list((Path(unloaded.log[0].get("data_dir", ".")) / "uploads").glob("*")) == []


def test_unknown_jobs_and_pages_are_404_in_json(ready: Served) -> None:
    for method, path in (("GET", "/jobs/nope"), ("GET", "/jobs/nope/stream"), ("DELETE", "/jobs/nope")):
        answer = ready.http.request(method, path)
        assert (answer.status_code, answer.json()) == (404, {"error": "job nope not found"})
    assert "error" in ready.http.get("/nowhere").json()
    wrong = ready.http.put("/jobs")
    assert (wrong.status_code, set(wrong.json())) == (405, {"error"})


def test_a_file_that_is_no_recording_fails_its_own_job_alone(ready: Served) -> None:
    answer = ready.http.post("/jobs", files={"audio": ("a.mp3", b"not audio" * 99)})

    job = ready.ended(answer.json()["job_id"])

    assert job["status"] == "failed"
    assert job["error"]
    assert job["segments"] == []
    assert ready.ended(ready.submit(CLIP))["status"] == "done"


def test_a_stream_tells_progress_and_ends_with_the_job(ready: Served) -> None:
    job_id = ready.submit("en-it-mixed-0.flac")
    # From the first event on: the job may be done before this process asks.
    with ready.http.stream("GET", f"/jobs/{job_id}/stream", headers={"Last-Event-ID": "0"}) as response:
        assert response.headers["Content-Type"].startswith("text/event-stream")
        heard = list(events(response))

    *progress, (last, done, _) = heard
    assert last == done["type"] == "done"
    assert done["job"] == ready.job(job_id)
    percents = [data["percent"] for type, data, _ in progress if type == "progress"]
    assert percents
    assert percents == sorted(percents)
    told = [set(data) for type, data, _ in progress if type == "progress"]
    assert all(keys == {"type", "percent", "chunk", "chunks_total"} for keys in told)
    assert [int(id) for *_, id in heard] == sorted(int(id) for *_, id in heard)


def test_a_late_stream_gets_one_done_and_closes(ready: Served) -> None:
    job_id = ready.submit(CLIP)
    job = ready.ended(job_id)

    heard = list(events(ready.http.get(f"/jobs/{job_id}/stream")))

    assert [(type, data["job"]) for type, data, _ in heard] == [("done", job)]


def test_a_stream_goes_on_after_the_last_event_that_a_client_saw(ready: Served) -> None:
    job_id = ready.submit("en-it-mixed-0.flac")
    ready.ended(job_id)
    *_, done_id = [id for *_, id in events(ready.http.get(f"/jobs/{job_id}/stream"))]

    all_of_them = list(events(ready.http.get(f"/jobs/{job_id}/stream", headers={"Last-Event-ID": "0"})))
    nonsense = list(events(ready.http.get(f"/jobs/{job_id}/stream", headers={"Last-Event-ID": "x"})))

    assert [int(id) for *_, id in all_of_them] == list(range(1, int(done_id) + 1))
    assert [type for type, *_ in nonsense] == ["done"]


def test_a_failed_jobs_stream_says_error(ready: Served) -> None:
    answer = ready.http.post("/jobs", files={"audio": ("a.mp3", b"not audio" * 99)})
    job_id = answer.json()["job_id"]
    error = ready.ended(job_id)["error"]

    heard = list(events(ready.http.get(f"/jobs/{job_id}/stream", headers={"Last-Event-ID": "0"})))

    assert heard[-1][:2] == ("error", {"type": "error", "message": error, "code": "not_media"})


def test_a_job_can_be_cancelled_once(ready: Served, ten_minutes: bytes) -> None:
    ids = [ready.submit(CLIP), ready.http.post("/jobs", files={"audio": ("long.wav", ten_minutes)}).json()["job_id"]]
    cancelled = ready.http.delete(f"/jobs/{ids[-1]}")

    assert cancelled.status_code == 200
    assert cancelled.json()["status"] == "cancelled"
    again = ready.http.delete(f"/jobs/{ids[-1]}")
    assert again.status_code == 409
    assert again.json() == {"error": f"job {ids[-1]} is already in terminal state cancelled"}
    for job_id in ids[:-1]:
        assert ready.ended(job_id)["status"] == "done"
        assert ready.http.delete(f"/jobs/{job_id}").status_code == 409
    assert ready.job(ids[-1])["status"] == "cancelled"
    assert [type for type, *_ in events(ready.http.get(f"/jobs/{ids[-1]}/stream"))] == ["done"]


def test_a_running_job_can_be_cancelled(ready: Served, ten_minutes: bytes) -> None:
    job_id = ready.http.post("/jobs", files={"audio": ("long.wav", ten_minutes)}).json()["job_id"]
    until(lambda: ready.job(job_id)["status"] == "running")

    assert ready.http.delete(f"/jobs/{job_id}").json()["status"] == "cancelled"

    assert ready.ended(ready.submit(CLIP))["status"] == "done"
    assert ready.job(job_id)["status"] == "cancelled"


def test_queue_true_waits_for_the_model_and_so_does_admission_queue(cold: Served, tmp_path: Path) -> None:
    assert text_of(cold.ended(cold.submit(CLIP, queue="true"))) == CATALOG[CLIP]["text"]

    with served(tmp_path / "other", ADMISSION="queue") as other:
        assert text_of(other.ended(other.submit(CLIP))) == CATALOG[CLIP]["text"]


def test_the_same_key_gets_the_same_job(ready: Served) -> None:
    key = {"Idempotency-Key": str(uuid.uuid4())}
    first, second = (ready.http.post("/jobs", headers=key, **form()) for _ in range(2))
    other = ready.http.post("/jobs", headers=key, **form("it-exact-0.flac"))
    different = ready.http.post("/jobs", headers=key, **form(task="translate"))

    assert first.json() == second.json()
    assert (other.status_code, different.status_code) == (422, 422)
    assert "Idempotency-Key" in other.json()["error"]


@pytest.mark.parametrize(
    ("path", "field", "bad"),
    [
        ("/jobs", "audio", "task"),
        ("/v1/audio/transcriptions", "file", "response_format"),
        ("/inference", "file", "response_format"),
    ],
)
def test_a_bad_field_behind_a_large_recording_does_not_load_the_model(
    unloaded: Served, path: str, field: str, bad: str
) -> None:
    recording = f'--b\r\nContent-Disposition: form-data; name="{field}"; filename="a.wav"\r\n\r\n'.encode() + bytes(
        9_000_000
    )
    refused = f'\r\n--b\r\nContent-Disposition: form-data; name="{bad}"\r\n\r\nsing\r\n--b--\r\n'.encode()
    headers = {"Content-Type": "multipart/form-data; boundary=b"}

    assert unloaded.http.post(path, content=recording + refused, headers=headers).status_code == 400
    assert unloaded.state() == "unloaded"


def test_the_state_is_looked_at_again_when_a_long_upload_is_complete(cold: Served) -> None:
    """The load begins early in the upload; when the upload ends, the model is ready and the job is taken."""
    boundary = b"frontier"
    head = b'--frontier\r\nContent-Disposition: form-data; name="audio"; filename="a.flac"\r\n\r\n'

    def slowly() -> Iterator[bytes]:
        yield head + (DATA / CLIP).read_bytes()
        until(lambda: time.monotonic() > began + 1)
        yield b"\0" * 10
        until(lambda: cold.state() == "ready")
        yield b"\r\n--frontier--\r\n"

    began = time.monotonic()
    headers = {"Content-Type": f"multipart/form-data; boundary={boundary.decode()}"}
    answer = httpx2.post(f"{cold.url}/jobs", content=slowly(), headers=headers, timeout=60)

    assert answer.status_code == 202
    assert cold.ended(answer.json()["job_id"])["status"] == "done"


# Webhooks --------------------------------------------------------------------------------------------------------


def test_a_webhook_receives_the_job_and_the_models_events(cold: Served, receiver: Receiver) -> None:
    refused = cold.http.post("/jobs", **form(webhook_url=receiver.url))
    assert refused.status_code == 503
    until(lambda: "model_ready" in receiver.bodies("type"))

    job_id = cold.submit(CLIP, webhook_url=receiver.url)
    until(lambda: job_id in receiver.bodies("id"))
    delivered = next(body for _, body, _ in receiver.calls if body.get("id") == job_id)
    assert delivered == cold.job(job_id)
    assert delivered["webhook_url"] == receiver.url
    cold.http.post("/model/unload")
    until(lambda: "model_unloaded" in receiver.bodies("type"))

    assert set(receiver.bodies("type")) == {"model_ready", "model_unloaded"}
    assert {kind for *_, kind in receiver.calls} == {"application/json"}
    ready = next(body for _, body, _ in receiver.calls if body.get("type") == "model_ready")
    assert set(ready) == {"type", "loaded_at"}


def test_failed_and_cancelled_jobs_are_told_too(ready: Served, receiver: Receiver, ten_minutes: bytes) -> None:
    told = {"webhook_url": receiver.url}
    failed = ready.http.post("/jobs", files={"audio": ("a", b"no")}, data=told)
    answer = ready.http.post("/jobs", files={"audio": ("long.wav", ten_minutes)}, data=told)
    cancelled = answer.json()["job_id"]
    ready.http.delete(f"/jobs/{cancelled}")

    until(lambda: len(receiver.bodies("status")) == 2)

    statuses = {body["id"]: body["status"] for _, body, _ in receiver.calls if "id" in body}
    assert statuses == {failed.json()["job_id"]: "failed", cancelled: "cancelled"}


def test_a_refused_webhook_is_tried_again_after_one_and_two_seconds(ready: Served) -> None:
    receiver = Receiver(refusals=2)
    ready.submit(CLIP, webhook_url=receiver.url)

    until(lambda: len(receiver.calls) == 3)

    times = [at for at, *_ in receiver.calls]
    receiver.close()
    # A busy machine may be late, but never early: what is written down may be cut to the millisecond.
    assert 0.99 <= times[1] - times[0] < 10
    assert 1.99 <= times[2] - times[1] < 10


# Documentation ---------------------------------------------------------------------------------------------------


def test_every_route_is_documented_with_an_example(ready: Served) -> None:
    openapi = ready.http.get("/openapi.json").json()

    routes = {f"{method.upper()} {path}" for path, methods in openapi["paths"].items() for method in methods}
    assert routes == {
        "POST /jobs",
        "POST /stream-tokens",
        "GET /jobs",
        "GET /jobs/{job_id}",
        "DELETE /jobs/{job_id}",
        "GET /jobs/{job_id}/stream",
        "GET /jobs/{job_id}/audio",
        "POST /jobs/{job_id}/retry",
        "GET /jobs/{job_id}/transcript",
        "GET /jobs/{job_id}/versions",
        "GET /jobs/{job_id}/versions/compare",
        "GET /jobs/{job_id}/versions/{number}",
        "GET /jobs/{job_id}/versions/{number}/transcript",
        "PATCH /jobs/{job_id}/speakers",
        "GET /jobs/{job_id}/waveform",
        "PUT /jobs/{job_id}/segments/{index}/correction",
        "DELETE /jobs/{job_id}/segments/{index}/correction",
        "GET /voices",
        "POST /voices",
        "DELETE /voices/{voice_id}",
        "OPTIONS /uploads",
        "POST /uploads",
        "GET /uploads/{upload_id}",
        "HEAD /uploads/{upload_id}",
        "PATCH /uploads/{upload_id}",
        "DELETE /uploads/{upload_id}",
        "POST /uploads/{upload_id}",
        "GET /livez",
        "GET /metrics",
        "GET /readyz",
        "GET /webhooks/deliveries",
        "POST /webhooks/deliveries/{delivery_id}/redeliver",
        "POST /webhooks/test",
        "GET /model/status",
        "POST /model/load",
        "POST /model/unload",
        "GET /model/events",
        "GET /health",
        "GET /history",
        "POST /v1/audio/transcriptions",
        "POST /v1/audio/translations",
        "GET /v1/models",
        "GET /v1/models/{model_id}",
        "POST /asr",
        "POST /detect-language",
        "GET /status",
        "POST /inference",
        "POST /load",
    }
    for path, methods in openapi["paths"].items():
        for method, route in methods.items():
            assert route["summary"], (path, method)
            assert "example" in json.dumps(route) or "$ref" in json.dumps(route), (path, method)
    page = ready.http.get("/docs")
    assert "http" not in re.sub(r"http-equiv", "", page.text.replace("/openapi.json", ""))
    for asset in re.findall(r'(?:src|href)="(/[^"]+)"', page.text):
        assert ready.http.get(asset).status_code == 200


def test_quiet_streams_are_kept_alive_every_fifteen_seconds(ready: Served) -> None:
    began = time.monotonic()
    with ready.http.stream("GET", "/model/events") as stream:
        comment = next(line for line in stream.iter_lines() if line)

    assert comment.startswith(":")
    assert 14.9 <= time.monotonic() - began < 25
