from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import httpx2
import pytest

from scrivano.api.routes.speakers import SpeakerChanges
from scrivano.client import (
    AlreadyEnded,
    Client,
    ClientError,
    JobCancelled,
    JobEvent,
    JobFailed,
    JobSnapshot,
    ModelStatus,
    NoSuchJob,
    NotReady,
    StatusError,
    Unreachable,
    WaitTimeout,
)
from scrivano.client.client import RECONNECTS
from scrivano.domain.transcript import Segment, Transcript, Word

Answer = httpx2.Response | Exception

JOB: dict[str, Any] = {
    "id": "j1",
    "status": "done",
    "task": "transcribe",
    "progress": 100,
    "language": "en",
    "duration_secs": 2.5,
    "segments": [
        {
            "index": 0,
            "start": 0.5,
            "end": 2.0,
            "text": "Hello.",
            "words": [{"text": "Hello.", "start": 0.5, "end": 2.0, "probability": 0.9}],
        }
    ],
    "filename": "a.wav",
    "created_at": "2026-01-01T00:00:00.000Z",
    "completed_at": "2026-01-01T00:00:01.000Z",
    "attempt": 2,
}

HELLO = Segment(start=0.5, end=2.0, text="Hello.", words=(Word(text="Hello.", start=0.5, end=2.0, probability=0.9),))


class Server:
    """Returns the given answers one after another, and records the requests and the pauses between them."""

    def __init__(self, *answers: Answer) -> None:
        self._answers = iter(answers)
        self.requests: list[httpx2.Request] = []
        self.bodies: list[bytes] = []
        self.pauses: list[float] = []

    def client(self) -> Client:
        return Client("http://scrivano", transport=httpx2.MockTransport(self._answer), sleep=self.pauses.append)

    def _answer(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        self.bodies.append(request.read())
        answer = next(self._answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def form(self, index: int = -1) -> dict[str, str]:
        """The submitted form's fields and their values."""
        parts = self.bodies[index].decode().split("\r\n--")
        heads = (part.partition("\r\n\r\n") for part in parts if 'name="' in part)
        return {re.findall(r' name="([^"]*)"', head)[0]: value for head, _, value in heads}


def answer(body: object, status: int = 200, **headers: str) -> httpx2.Response:
    return httpx2.Response(status, json=body, headers=headers)


def not_ready(state: str = "loading", after_s: int = 10) -> httpx2.Response:
    body = {"error": "model_not_ready", "state": state, "retry_after_secs": after_s}
    return httpx2.Response(503, json=body, headers={"Retry-After": str(after_s)})


ACCEPTED = {"job_id": "j1"}


def events(*sent: str | Exception) -> httpx2.Response:
    def content() -> Iterator[bytes]:
        for one in sent:
            if isinstance(one, Exception):
                raise one
            yield one.encode()

    return httpx2.Response(200, content=content(), headers={"Content-Type": "text/event-stream"})


def event(type: str, seq: int, **data: object) -> str:
    return f"id: {seq}\r\nevent: {type}\r\ndata: {json.dumps({'type': type, **data})}\r\n\r\n"


DONE = event("done", 9, job=JOB)
DROPPED = httpx2.ReadError("dropped")


# submit


def test_a_file_is_submitted_with_its_options(tmp_path: Path) -> None:
    file = tmp_path / "talk.mp3"
    file.write_bytes(b"sound")
    server = Server(answer(ACCEPTED, 202))

    job_id = server.client().submit(
        file, language="it", task="translate", prompt="Ciao", hotwords="Po", webhook_url="http://x/y", queue=True
    )

    assert job_id == "j1"
    assert (server.requests[0].method, server.requests[0].url.path) == ("POST", "/jobs")
    assert server.form() == {
        "language": "it",
        "task": "translate",
        "prompt": "Ciao",
        "hotwords": "Po",
        "webhook_url": "http://x/y",
        "queue": "true",
        "audio": "sound",
    }
    assert b'filename="talk.mp3"' in server.bodies[0]


def test_a_file_name_that_is_not_utf_8_is_sent_with_replacement_characters() -> None:
    server = Server(answer(ACCEPTED, 202))

    assert server.client().submit(io.BytesIO(b"sound"), filename="\udcff\udcfe.flac") == "j1"

    assert "��.flac".encode() in server.bodies[0]


def test_several_languages_are_sent_as_one_field() -> None:
    server = Server(answer(ACCEPTED, 202))

    server.client().submit(io.BytesIO(b"sound"), languages=["de", "en"], multilingual=True)

    assert server.form() == {"languages": "de,en", "multilingual": "true", "audio": "sound"}


def test_options_that_are_not_given_are_not_sent() -> None:
    server = Server(answer(ACCEPTED, 202))

    server.client().submit(io.BytesIO(b"sound"))

    assert list(server.form()) == ["audio"]
    assert b'filename="audio"' in server.bodies[0]


def test_while_the_model_loads_the_file_is_sent_again_after_the_servers_retry_time() -> None:
    server = Server(not_ready("unloaded", 30), not_ready("loading", 10), answer(ACCEPTED, 202))

    assert server.client().submit(io.BytesIO(b"sound"), filename="a.wav") == "j1"
    assert server.pauses == [30, 10]
    assert [server.form(index)["audio"] for index in range(3)] == ["sound"] * 3


def test_a_caller_may_not_want_to_wait_for_the_model() -> None:
    server = Server(not_ready("waiting_for_gpu", 30))

    with pytest.raises(NotReady) as caught:
        server.client().submit(io.BytesIO(b"sound"), wait_for_model=False)

    assert (caught.value.status, caught.value.state, caught.value.retry_after_s) == (503, "waiting_for_gpu", 30)
    assert server.pauses == []


def test_submitting_stops_at_the_deadline() -> None:
    server = Server(not_ready(after_s=10))

    with pytest.raises(NotReady):
        server.client().submit(io.BytesIO(b"sound"), model_timeout_s=9)

    assert server.pauses == []


class Pipe(io.RawIOBase):
    """Like standard input: it has a descriptor that tells no size, and is read once."""

    def __init__(self, content: bytes) -> None:
        self._content = io.BytesIO(content)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._content.readinto(buffer)

    def fileno(self) -> int:
        return 0


def test_a_pipe_is_streamed_but_not_sent_again() -> None:
    server = Server(answer(ACCEPTED, 202), not_ready())

    server.client().submit(io.BufferedReader(Pipe(b"sound" * 100_000)))

    assert server.requests[0].headers["Transfer-Encoding"] == "chunked"
    assert server.form()["audio"] == "sound" * 100_000
    with pytest.raises(NotReady):
        server.client().submit(io.BufferedReader(Pipe(b"sound")))


def test_a_missing_file_raises_an_os_error() -> None:
    with pytest.raises(FileNotFoundError):
        Server().client().submit("/nowhere/at/all.wav")


# get, cancel, errors


def test_fields_that_the_client_does_not_know_are_in_more() -> None:
    job = Server(answer(JOB)).client().get("j1")

    assert (job.id, job.status, job.progress, job.language, job.duration_secs) == ("j1", "done", 100, "en", 2.5)
    assert job.segments == (HELLO,)
    assert job.more == {"attempt": 2}
    assert job.ended
    assert job.transcript == Transcript(language="en", duration=2.5, segments=(HELLO,), recording="a")


def test_a_job_that_has_just_started_has_no_text() -> None:
    job = Server(answer({"id": "j1", "status": "queued", "segments": [], "duration_secs": None})).client().get("j1")

    assert not job.ended
    with pytest.raises(ClientError, match="job j1 is queued"):
        _ = job.transcript


def test_a_cancel_is_a_delete() -> None:
    server = Server(answer({**JOB, "status": "cancelled"}))

    assert server.client().cancel("j1").status == "cancelled"
    assert (server.requests[0].method, server.requests[0].url.path) == ("DELETE", "/jobs/j1")


def test_speakers_are_changed_as_the_server_takes_it() -> None:
    server = Server(answer(JOB), answer(JOB))
    client = server.client()
    client.rename_speakers("j1", {"S1": "Chair"})
    client.merge_speakers("j1", {"S3": "S1"})

    named, merged = map(SpeakerChanges.model_validate_json, server.bodies)
    assert (named.names, named.merge) == ({"S1": "Chair"}, {})
    assert (merged.names, merged.merge) == ({}, {"S3": "S1"})
    assert [(one.method, one.url.path) for one in server.requests] == [("PATCH", "/jobs/j1/speakers")] * 2


def test_voices_are_enrolled_listed_and_deleted() -> None:
    ada = {"id": "v1", "name": "Ada", "created_at": "2026-01-01T00:00:00.000Z"}
    server = Server(answer(ada, 201), answer({"voices": [ada]}), httpx2.Response(204))
    client = server.client()

    enrolled = client.enrol_voice("Ada", io.BytesIO(b"RIFF"))
    assert (enrolled.id, enrolled.name, client.voices()) == ("v1", "Ada", [enrolled])
    client.delete_voice("v1")

    assert [(one.method, one.url.path) for one in server.requests] == [
        ("POST", "/voices"),
        ("GET", "/voices"),
        ("DELETE", "/voices/v1"),
    ]
    assert b'name="name"' in server.bodies[0]
    assert b'name="audio"' in server.bodies[0]


@pytest.mark.parametrize(
    ("status", "kind", "message"),
    [
        (400, StatusError, "missing 'audio' field"),
        (404, NoSuchJob, "job j1 not found"),
        (409, AlreadyEnded, "job j1 is already in terminal state done"),
        (500, StatusError, "worker channel closed"),
        (503, StatusError, "too many jobs"),
    ],
)
def test_an_error_has_the_servers_message(status: int, kind: type[StatusError], message: str) -> None:
    with pytest.raises(kind) as caught:
        Server(answer({"error": message}, status)).client().get("j1")

    assert type(caught.value) is kind
    assert (caught.value.status, caught.value.message, str(caught.value)) == (status, message, message)


def test_an_error_page_of_a_proxy_is_an_error_too() -> None:
    with pytest.raises(StatusError, match="502 Bad Gateway"):
        Server(httpx2.Response(502, text="<html>")).client().get("j1")


@pytest.mark.parametrize("body", ["hello", '["a"]', "{}"])
def test_a_response_that_is_not_scrivanos_is_an_error(body: str) -> None:
    with pytest.raises(StatusError, match="is not the response of a Scrivano server"):
        Server(httpx2.Response(200, text=body)).client().get("j1")


@pytest.mark.parametrize("error", [httpx2.ConnectError("refused"), httpx2.ReadTimeout("")])
def test_no_response_is_an_error(error: Exception) -> None:
    with pytest.raises(Unreachable, match="no response"):
        Server(error).client().health()


# stream, wait, transcribe


def test_events_are_streamed_until_the_last() -> None:
    server = Server(events(": ping\n\n", event("progress", 1, percent=50), DONE, event("progress", 10)))

    first, last = server.client().stream("j1")

    assert first == JobEvent("progress", {"type": "progress", "percent": 50}, "1")
    assert first.job is None
    assert (last.type, last.job) == ("done", Server(answer(JOB)).client().get("j1"))


def test_a_dropped_stream_continues_with_the_next_event() -> None:
    half, rest = DONE[:40], DONE[40:]
    server = Server(
        events(event("progress", 1, percent=10), DROPPED),
        httpx2.ConnectError("restarting"),
        events(event("progress", 2, percent=20), half),
        events(half, rest),
    )

    assert [event.id for event in server.client().stream("j1")] == ["1", "2", "9"]
    assert [request.headers.get("Last-Event-ID") for request in server.requests] == [None, "1", "1", "2"]


def test_a_stream_that_keeps_failing_raises_an_error() -> None:
    server = Server(*[httpx2.ConnectError("gone")] * (RECONNECTS + 1))

    with pytest.raises(Unreachable):
        list(server.client().stream("j1"))

    assert len(server.pauses) == RECONNECTS


def test_the_stream_of_an_unknown_job_raises_at_once() -> None:
    server = Server(answer({"error": "job j1 not found"}, 404))

    with pytest.raises(NoSuchJob):
        list(server.client().stream("j1"))


def test_waiting_ends_with_the_job() -> None:
    job = Server(events(event("progress", 1), DONE)).client().wait("j1")

    assert job.segments == (HELLO,)


def test_waiting_for_a_job_that_fails_ends_with_it_too() -> None:
    failed = {"id": "j1", "status": "failed", "error": "no audio", "segments": []}

    job = Server(events(event("error", 1, message="no audio")), answer(failed)).client().wait("j1")

    assert (job.status, job.error) == ("failed", "no audio")


@pytest.mark.parametrize("stream", [[": ping\n\n"], [event("progress", 1)], [httpx2.ReadTimeout("")], []])
def test_waiting_stops_at_the_deadline(stream: Sequence[str | Exception]) -> None:
    with pytest.raises(WaitTimeout):
        Server(events(*stream)).client().wait("j1", timeout=0.0)


def test_transcribe_returns_the_transcript_of_a_file() -> None:
    server = Server(answer(ACCEPTED, 202), events(DONE))

    transcript = server.client().transcribe(io.BytesIO(b"sound"), language="en")

    assert transcript.text == "Hello."
    assert server.requests[1].url.path == "/jobs/j1/stream"


@pytest.mark.parametrize(("status", "kind"), [("failed", JobFailed), ("cancelled", JobCancelled)])
def test_a_job_without_a_transcript_is_an_error_that_has_the_job(
    status: str, kind: type[JobFailed | JobCancelled]
) -> None:
    ended = {**JOB, "status": status, "segments": [], "error": None}
    server = Server(answer(ACCEPTED, 202), events(event("done", 1, job=ended)))

    with pytest.raises(kind, match=f"job j1 is {status}") as caught:
        server.client().transcribe(io.BytesIO(b"sound"))

    assert caught.value.job.status == status


# model and health


def test_the_models_status() -> None:
    body = {"state": "waiting_for_gpu", "vram_needed_mb": 3951, "vram_free_mb": 512, "retry_in_secs": 30, "new": 1}

    assert Server(answer(body)).client().model_status() == ModelStatus(
        state="waiting_for_gpu", vram_needed_mb=3951, vram_free_mb=512, retry_in_secs=30, more={"new": 1}
    )


@pytest.mark.parametrize(
    ("call", "path", "status"),
    [
        (lambda client: client.load(), "/model/load", "load_initiated"),
        (lambda client: client.unload(), "/model/unload", "unload_requested"),
    ],
)
def test_the_model_is_loaded_and_unloaded(call: Callable[[Client], object], path: str, status: str) -> None:
    server = Server(answer({"status": status}, 202))

    assert call(server.client()) in (status, None)
    assert (server.requests[0].method, server.requests[0].url.path) == ("POST", path)


def test_health_is_the_servers_response() -> None:
    assert Server(answer({"status": "ok", "model": "nano"})).client().health()["model"] == "nano"


# the module


def test_a_client_closes_its_connections() -> None:
    class Transport(httpx2.MockTransport):
        closed = False

        def close(self) -> None:
            self.closed = True

    transport = Transport(lambda request: answer({"status": "ok"}))
    with Client(transport=transport) as client:
        client.health()

    assert transport.closed


def test_snapshots_are_frozen() -> None:
    with pytest.raises(AttributeError):
        cast(Any, JobSnapshot(id="j1", status="done")).status = "failed"


def test_the_client_needs_nothing_of_a_server() -> None:
    code = "import sys, scrivano.client.client; print(*(name for name in sys.modules if '.' not in name))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()

    assert not {"fastapi", "starlette", "uvicorn", "sqlalchemy", "pydantic", "numpy", "av"} & set(loaded)
