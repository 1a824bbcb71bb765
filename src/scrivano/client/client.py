"""Python client. It uses HTTP, and imports nothing that only a server needs."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Protocol, TypeVar

import httpx2

from scrivano.client.errors import AlreadyEnded, NoSuchJob, NotReady, StatusError, Unreachable, WaitTimeout
from scrivano.client.snapshots import (
    JobEvent,
    JobSnapshot,
    ModelStatus,
    Version,
    Voice,
    job_of,
    model_status_of,
    versions_of,
    voice_of,
)
from scrivano.client.sse import frames
from scrivano.domain.file_names import valid_name
from scrivano.domain.transcript import Transcript

T = TypeVar("T")

__all__ = ["Client"]

# The server sends something on each stream every 15 s. After three times that, the connection counts as dropped.
STREAM_TIMEOUT_S = 45.0

# How often in a row a stream is opened again without receiving an event. With `RECONNECT_S` in between, this takes
# longer than a server's restart.
RECONNECTS = 10
RECONNECT_S = 1.0


class _Readable(Protocol):
    def read(self, size: int = ..., /) -> bytes: ...


class Client:
    """A client of one server. Use it in a `with` block, or call `close`.

    `timeout`: seconds to connect, and seconds to wait for each response; a whole upload may take longer. `api_key`: for
    a server that requires keys. `transport` and `sleep` are for tests. Every call raises only `ClientError`, and
    OSError if a file cannot be read.
    """

    def __init__(
        self,
        base_url: str = "http://127.0.0.1:8080",
        *,
        timeout: float = 60.0,
        api_key: str | None = None,
        transport: httpx2.BaseTransport | None = None,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        headers = {} if api_key is None else {"Authorization": f"Bearer {api_key}"}
        self._http = httpx2.Client(base_url=base_url, timeout=timeout, headers=headers, transport=transport)
        self._sleep = sleep

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def submit(
        self,
        file: str | Path | BinaryIO,
        *,
        filename: str | None = None,
        language: str | None = None,
        languages: Sequence[str] = (),
        multilingual: bool | None = None,
        task: str | None = None,
        prompt: str | None = None,
        hotwords: str | None = None,
        speakers: bool | None = None,
        num_speakers: int | None = None,
        channels: str | None = None,
        channel_names: Sequence[str] = (),
        audio_track: int | str | None = None,
        model: str | None = None,
        options: Mapping[str, Any] | None = None,
        webhook_url: str | None = None,
        webhook_if: str | None = None,
        queue: bool | None = None,
        idempotency_key: str | None = None,
        wait_for_model: bool = True,
        model_timeout_s: float = 1800.0,
    ) -> str:
        """Send a recording. Returns the job's id. The file is streamed, so it does not have to fit into memory.

        While the model is not ready, the server answers 503 with a time to retry after, and the recording is sent
        again for at most `model_timeout_s` (the first load may include a download). With `queue=True` the server
        accepts the job at once. `NotReady` is raised after that time, with `wait_for_model=False`, and for a file that
        can be read only once (a pipe).
        `prompt`: text that precedes the recording. `hotwords`: words to expect. `audio_track`: a number, from 0, or a
        language. `languages`: those that may be detected. `multilingual=True`: each segment has its own language.
        `webhook_if`: call the webhook only about doubtful transcripts, such as `"coverage<0.98,doubtful"`.
        `speakers=True`: tell them apart; `num_speakers`: how many there are, if that is known. `channels="split"`: each
        channel is a speaker, whose name is in `channel_names`; `"mix"`, `"auto"`: see the documentation of speakers.
        `model`: one of the served ones. `options`: more fields of `POST /jobs`, such as `{"beam_size": 1}`.
        `idempotency_key`: a second submission with the same key gets the job of the first one.
        """
        form = {
            "language": language,
            "languages": ",".join(languages) or None,
            "multilingual": multilingual,
            "task": task,
            "prompt": prompt,
            "hotwords": hotwords,
            "speakers": speakers,
            "num_speakers": num_speakers,
            "channels": channels,
            "channel_names": ",".join(channel_names) or None,
            "audio_track": audio_track,
            "model": model,
            "webhook_url": webhook_url,
            "webhook_if": webhook_if,
            "queue": queue,
            **(options or {}),
        }
        data = {name: _text(value) for name, value in form.items() if value is not None}
        with _opened(file) as source:
            headers = {} if idempotency_key is None else {"Idempotency-Key": idempotency_key}
            upload = _Upload(source, valid_name(filename or _name(file)), data, headers)
            deadline = time.monotonic() + (model_timeout_s if wait_for_model and upload.repeatable else 0.0)
            return self._submit(upload, deadline)

    def _submit(self, upload: _Upload, deadline: float) -> str:
        while True:
            try:
                return self._call(
                    _job_id, "POST", "/jobs", data=upload.data, files=upload.files(), headers=upload.headers
                )
            except NotReady as error:
                if time.monotonic() + error.retry_after_s > deadline:
                    raise
                self._sleep(error.retry_after_s)

    def rename_speakers(self, job_id: str, names: Mapping[str, str]) -> JobSnapshot:
        """Name the speakers of a job by their ids. Two speakers that get the same name stay two."""
        return self._call(job_of, "PATCH", f"/jobs/{job_id}/speakers", json={"names": dict(names)})

    def merge_speakers(self, job_id: str, merge: Mapping[str, str]) -> JobSnapshot:
        """Make speakers one who are the same person: from an id to the id that stays."""
        return self._call(job_of, "PATCH", f"/jobs/{job_id}/speakers", json={"merge": dict(merge)})

    def voices(self) -> list[Voice]:
        """The enrolled voices of the key."""
        return self._call(lambda data: list(map(voice_of, data["voices"])), "GET", "/voices")

    def enrol_voice(self, name: str, sample: str | Path | BinaryIO) -> Voice:
        """Enrol a voice: from then on, jobs with the option `voices` give its speaker this name.

        `sample`: a recording of 5 to 30 s of one person alone, who has agreed. Raises `StatusError` (403) if the server
        keeps no voices.
        """
        with _opened(sample) as source:
            files = {"audio": (valid_name(_name(sample)), source)}
            return self._call(voice_of, "POST", "/voices", data={"name": name}, files=files)

    def delete_voice(self, voice_id: str) -> None:
        """Names that transcripts have got from it stay."""
        with _network_errors():
            _check(self._http.request("DELETE", f"/voices/{voice_id}"))

    def get(self, job_id: str) -> JobSnapshot:
        return self._call(job_of, "GET", f"/jobs/{job_id}")

    def cancel(self, job_id: str) -> JobSnapshot:
        """Raises `AlreadyEnded` if the job has ended."""
        return self._call(job_of, "DELETE", f"/jobs/{job_id}")

    def delete(self, job_id: str) -> JobSnapshot:
        """Delete an ended job with all that belongs to it; returns it as it was. Raises `AlreadyEnded` if it has not
        ended."""
        return self._call(job_of, "DELETE", f"/jobs/{job_id}", params={"purge": "true"})

    def retry(self, job_id: str, *, model: str | None = None, **options: Any) -> JobSnapshot:
        """Queue an ended job again. Returns the queued job.

        `options` are fields of `POST /jobs`, such as `beam_size=1` or `language="de"`; the others stay as they were. A
        job that is done stays so, and gets a new version: the returned job, with an id of its own. Raises
        `AlreadyEnded` for a job that is done if nothing differs, and if the recording is no longer stored.
        """
        fields = {"model": model, **options}
        body = {name: value for name, value in fields.items() if value is not None}
        return self._call(job_of, "POST", f"/jobs/{job_id}/retry", json=body)

    def versions(self, job_id: str) -> list[Version]:
        """Oldest first; the first transcript of the job is version 1."""
        return self._call(versions_of, "GET", f"/jobs/{job_id}/versions")

    def version(self, job_id: str, number: int) -> JobSnapshot:
        return self._call(job_of, "GET", f"/jobs/{job_id}/versions/{number}")

    def compare(self, job_id: str, a: int, b: int) -> Mapping[str, Any]:
        """Two versions word by word: `equal`, `substituted`, `deleted`, `inserted`, `difference`, and the `spans`."""
        return self._call(dict[str, Any], "GET", f"/jobs/{job_id}/versions/compare", params={"a": a, "b": b})

    def transcript_text(self, job_id: str, format: str) -> str:
        """The transcript as the server writes it, in one of its formats, such as `srt` or `rttm`."""
        with _network_errors():
            response = self._http.get(f"/jobs/{job_id}/transcript", params={"format": format})
        _check(response)
        return response.text

    def stream(self, job_id: str) -> Iterator[JobEvent]:
        """Yield events until the last one. After a dropped connection, the stream continues with the next event."""
        return self._events(job_id, None)

    def wait(self, job_id: str, timeout: float | None = None) -> JobSnapshot:
        """Wait until the job has ended, successfully or not, and return it.

        Raises `WaitTimeout` after `timeout` seconds. It is checked when data arrives, at most 15 s later.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        jobs = [event.job for event in self._events(job_id, deadline)]
        return jobs[-1] or self.get(job_id)

    def transcribe(
        self,
        file: str | Path | BinaryIO,
        *,
        filename: str | None = None,
        language: str | None = None,
        languages: Sequence[str] = (),
        multilingual: bool | None = None,
        task: str | None = None,
        prompt: str | None = None,
        hotwords: str | None = None,
        speakers: bool | None = None,
        num_speakers: int | None = None,
        timeout: float | None = None,
    ) -> Transcript:
        """Send a recording and wait for its transcript. Raises `JobFailed`, `JobCancelled` or `WaitTimeout`."""
        job_id = self.submit(
            file,
            filename=filename,
            language=language,
            languages=languages,
            multilingual=multilingual,
            task=task,
            prompt=prompt,
            hotwords=hotwords,
            speakers=speakers,
            num_speakers=num_speakers,
        )
        return self.wait(job_id, timeout).transcript

    def models(self) -> Sequence[str]:
        """The names of the server's models, the default one first, and their other names."""
        return self._call(_names, "GET", "/v1/models")

    def model_status(self) -> ModelStatus:
        return self._call(model_status_of, "GET", "/model/status")

    def load(self, model: str | None = None) -> str:
        """Start to load a model; None: the default one. Returns `load_initiated` or `already_ready` without waiting."""
        return self._call(_status, "POST", "/model/load", params={} if model is None else {"model": model})

    def unload(self) -> None:
        """Unload the model after the work in progress has ended."""
        self._call(_status, "POST", "/model/unload")

    def health(self) -> Mapping[str, Any]:
        return self._call(dict[str, Any], "GET", "/health")

    def _call(self, read: Callable[[Mapping[str, Any]], T], method: str, path: str, **request: Any) -> T:
        """Send a request, and apply `read` to the JSON object of the response."""
        with _network_errors():
            response = self._http.request(method, path, **request)
        _check(response)
        with _malformed_response(response):
            return read(response.json())

    def _events(self, job_id: str, deadline: float | None) -> Iterator[JobEvent]:
        """Yield every event once, over as many connections as necessary. `deadline`: on the monotonic clock."""
        last_id, failures = "", 0
        while True:
            try:
                for event in self._connection(job_id, last_id, deadline):
                    last_id, failures = event.id or last_id, 0
                    yield event
                    if event.last:
                        return
                failure = Unreachable(f"the stream of job {job_id} ended before its last event")
            except Unreachable as error:
                failure = error
            _check_deadline(job_id, deadline)
            failures += 1
            if failures > RECONNECTS:
                raise failure
            self._sleep(RECONNECT_S)

    def _connection(self, job_id: str, last_id: str, deadline: float | None) -> Iterator[JobEvent]:
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": last_id} if last_id else {})
        timeout_s = STREAM_TIMEOUT_S
        if deadline is not None:
            timeout_s = max(0.001, min(timeout_s, deadline - time.monotonic()))
        request = self._http.build_request("GET", f"/jobs/{job_id}/stream", headers=headers, timeout=timeout_s)
        with _network_errors(), closing(self._http.send(request, stream=True)) as response:
            _check(response)
            for frame in frames(_until(deadline, job_id, response.iter_bytes())):
                with _malformed_response(response):
                    event = JobEvent(frame.event, json.loads(frame.data), frame.id)
                yield event


def _until(deadline: float | None, job_id: str, stream: Iterator[bytes]) -> Iterator[bytes]:
    for piece in stream:
        _check_deadline(job_id, deadline)
        yield piece


@dataclass(frozen=True, slots=True)
class _Upload:
    source: BinaryIO
    filename: str
    data: Mapping[str, str]
    headers: Mapping[str, str]

    @property
    def repeatable(self) -> bool:
        return self.source.seekable()

    def files(self) -> dict[str, tuple[str, Any]]:
        return {"audio": (self.filename, self.source if self.repeatable else _Pipe(self.source))}


class _Pipe:
    """Has `read` only. If httpx2 sees the file descriptor of a pipe, it sends an empty file."""

    def __init__(self, source: _Readable) -> None:
        self.read = source.read


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _opened(file: str | Path | BinaryIO) -> Any:
    return Path(file).open("rb") if isinstance(file, str | Path) else nullcontext(file)


def _name(file: str | Path | BinaryIO) -> str:
    name = file if isinstance(file, str | Path) else getattr(file, "name", None)
    return Path(name).name if isinstance(name, str | Path) else "audio"


@contextmanager
def _network_errors() -> Iterator[None]:
    try:
        yield
    except (httpx2.RequestError, httpx2.InvalidURL) as error:
        raise Unreachable(f"no response from the server ({error or type(error).__name__})") from error


@contextmanager
def _malformed_response(response: httpx2.Response) -> Iterator[None]:
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise StatusError(
            response.status_code, f"{response.request.url} is not the response of a Scrivano server"
        ) from error


def _check_deadline(job_id: str, deadline: float | None) -> None:
    if deadline is not None and time.monotonic() >= deadline:
        raise WaitTimeout(f"job {job_id} has not ended within the timeout; it is still running")


def _check(response: httpx2.Response) -> None:
    """Raise `StatusError` with the server's message if the response is not a success."""
    if response.is_success:
        return
    with _network_errors():
        response.read()
    body = _body(response)
    message = str(body.get("error") or f"the server answered {response.status_code} {response.reason_phrase}".rstrip())
    if response.status_code == 503 and message == "model_not_ready":
        raise NotReady(message, body.get("state"), _retry_after_s(response))
    kind = {404: NoSuchJob, 409: AlreadyEnded}.get(response.status_code, StatusError)
    raise kind(response.status_code, message)


def _retry_after_s(response: httpx2.Response) -> float:
    text = response.headers.get("Retry-After", "")
    return float(text) if text.isascii() and text.isdigit() else 10.0


def _body(response: httpx2.Response) -> Mapping[str, Any]:
    try:
        body = response.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _job_id(data: Mapping[str, Any]) -> str:
    return str(data["job_id"])


def _names(data: Mapping[str, Any]) -> Sequence[str]:
    return [str(one["id"]) for one in data["data"]]


def _status(data: Mapping[str, Any]) -> str:
    return str(data["status"])
