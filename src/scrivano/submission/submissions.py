"""Submit a recording in one request: as a form, by its URL in a form, or as a stream of audio."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import timedelta

from scrivano.auth.keys import ANONYMOUS, Caller
from scrivano.domain.errors import BadRequest, FetchFailed, ModelNotFound, MultipartError
from scrivano.files.blobs import Blobs
from scrivano.running.executor import Executor
from scrivano.submission.admission import Admission
from scrivano.submission.disk_sink import upload_limit
from scrivano.submission.early_load import EarlyLoad
from scrivano.submission.fetch import Downloads
from scrivano.submission.form_fields import FormFields, parse_http_url
from scrivano.submission.job_intake import JobIntake
from scrivano.submission.job_request import JobRequest, parse_job_request
from scrivano.submission.model_names import ServedModels
from scrivano.submission.multipart import Form, FormParser
from scrivano.submission.recording import Recording
from scrivano.submission.request_body import BodyInterrupted, RequestBody

__all__ = ["AUDIO_FIELD", "Submissions"]

AUDIO_FIELD = "audio"
URL_FIELD = "audio_url"

# A synchronous request without an idempotency key counts as a duplicate of an earlier one whose job is not older than
# this, because clients such as openai-python repeat requests by themselves.
DUPLICATE_AGE = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Submissions:
    """`max_upload_bytes` None: no limit."""

    blobs: Blobs
    executor: Executor
    downloads: Downloads
    admission: Admission
    intake: JobIntake
    new_id: Callable[[], str]
    models: ServedModels
    max_upload_bytes: int | None

    async def submit(self, body: RequestBody, caller: Caller, *, idempotency_key: str | None = None) -> str:
        """Accept the form of `POST /jobs`; returns the job's id.

        Raises `BadRequest`, `TooLarge`, `ModelNotReady`, `QueueFull`, `LimitReached`, `KeyReused`, `WorkerGone`,
        `StorageFull`; for a recording at a URL also `AddressRefused`, `FetchFailed`.
        """
        async with self._new_recording() as recording:
            form = await self._receive(body, recording, AUDIO_FIELD, self._job_request)
            job_request = self._job_request(form)
            self.admission.check_model(job_request, may_wait=bool(form.fields.flag("queue")))
            if url := _audio_url(form):
                # Fetched before the job is accepted: then an acknowledged job depends on no other server, and the hash
                # of its recording is known.
                job_request = replace(job_request, filename=await self._fetch(url, recording))
            self.admission.check_worker()
            return await self.intake.accept(recording, job_request, caller, idempotency_key=idempotency_key)

    async def submit_form(
        self,
        body: RequestBody,
        caller: Caller,
        file_field: str,
        job_request_of: Callable[[Form], JobRequest],
        *,
        idempotency_key: str | None = None,
        prefix: bytes = b"",
        complete: Callable[[JobRequest], Awaitable[JobRequest]] | None = None,
        long_fields: Mapping[str, int] | None = None,
    ) -> str:
        """Accept the form of a synchronous protocol; returns the id of the job, which may be an earlier one.

        `job_request_of` parses a form; it may raise `BadRequest`. It is called with the complete form last, and may be
        called with what has arrived before. The job waits for its model. `prefix` is written ahead of the file.
        `complete` adds what takes longer to find out; what it raises is raised. `long_fields`: see `FormParser`. Raises
        `BadRequest`, `TooLarge`, `QueueFull`, `LimitReached`, `KeyReused`, `WorkerGone`, `StorageFull`.
        """
        async with self._new_recording(prefix) as recording:
            form = await self._receive(body, recording, file_field, job_request_of, long_fields)
            form.check_file(file_field)
            job_request = job_request_of(form)
            if complete is not None:
                job_request = await complete(job_request)
            return await self._accept_once(recording, job_request, caller, idempotency_key)

    async def submit_audio(
        self, chunks: AsyncIterator[bytes], job_request: JobRequest, caller: Caller, *, prefix: bytes
    ) -> str | None:
        """Accept a recording that arrives without a form; returns the job's id, None if there were no bytes.

        Raises what `chunks` does, and `TooLarge`, `QueueFull`, `LimitReached`, `WorkerGone`, `StorageFull`.
        """
        async with self._new_recording(prefix) as recording:
            self.executor.load()  # while the speaker still speaks
            await recording.sink.receive(chunks)
            return await self._accept_once(recording, job_request, caller) if recording.size_bytes else None

    async def submit_file(
        self, chunks: AsyncIterator[bytes], job_request: JobRequest, caller: Caller = ANONYMOUS, *, idempotency_key: str
    ) -> str:
        """Accept a file of this machine, or one within a request; returns the job's id. The job waits for its model.

        Raises what `chunks` does, and `TooLarge`, `QueueFull`, `LimitReached`, `KeyReused`, `WorkerGone`,
        `StorageFull`.
        """
        async with self._new_recording() as recording:
            await recording.sink.receive(chunks)
            self.admission.check_worker()
            return await self.intake.accept(recording, job_request, caller, idempotency_key=idempotency_key)

    async def read_form(self, body: RequestBody) -> FormFields:
        """The fields of a form without a recording. Raises `MultipartError`, `TooLarge`, `StorageFull`."""
        async with self._new_recording() as recording:
            return (await self._receive(body, recording, None, None)).fields

    @asynccontextmanager
    async def _new_recording(self, prefix: bytes = b"") -> AsyncIterator[Recording]:
        limit = upload_limit(self.max_upload_bytes)
        with self.admission.uploading():
            async with Recording(self.blobs, self.new_id(), limit, prefix=prefix) as recording:
                yield recording

    async def _receive(
        self,
        body: RequestBody,
        recording: Recording,
        file_field: str | None,
        job_request_of: Callable[[Form], JobRequest] | None,
        long_fields: Mapping[str, int] | None = None,
    ) -> Form:
        """Read the whole form. `job_request_of` parses what has arrived of a long upload, so that its model can load
        meanwhile; None: no model is needed. Other forms are checked as a whole before anything starts."""
        self.blobs.admit(body.size_bytes or 0)
        parser = FormParser(body.content_type, file_field, recording.sink.put, long_fields)

        def load() -> None:
            # A bad request does not load a model.
            with suppress(BadRequest, ModelNotFound):
                if job_request_of is not None:
                    self.executor.load(job_request_of(parser.form).model)

        early_load = EarlyLoad(body.size_bytes, load)

        def put(data: bytes) -> None:
            parser.write(data)
            early_load.receive(len(data))

        try:
            await recording.sink.receive(body.chunks, put=put, on_long=early_load.announce_long)
        except BodyInterrupted as error:
            raise MultipartError("multipart error: the connection ended before the body did") from error
        return parser.finish()

    async def _fetch(self, url: str, recording: Recording) -> str | None:
        """Download the recording; returns its file name."""
        async with self.downloads.open(url) as download:
            recording.expect(download.size_bytes or 0)
            await recording.sink.receive(download.chunks)
        if not recording.size_bytes:
            raise FetchFailed("the recording at audio_url is empty")
        return download.filename

    async def _accept_once(
        self, recording: Recording, job_request: JobRequest, caller: Caller, idempotency_key: str | None = None
    ) -> str:
        """A repeated request gets the job of the first one, with or without a key."""
        self.admission.check_worker()
        since = self.intake.now() - DUPLICATE_AGE
        return await self.intake.accept(
            recording, job_request, caller, idempotency_key=idempotency_key, duplicates_since=since
        )

    def _job_request(self, form: Form) -> JobRequest:
        """Raises `BadRequest`."""
        if _audio_url(form) is None:
            form.check_file(AUDIO_FIELD)
        return parse_job_request(form.fields, form.filename, self.models)


def _audio_url(form: Form) -> str | None:
    """Where the recording is, if it is not in the form. Raises `BadRequest` for a form that has both, or no URL."""
    url = parse_http_url(form.fields.text(URL_FIELD), URL_FIELD)
    if url is not None and form.has_file:
        raise BadRequest("send the recording as 'audio', or where it is as 'audio_url', not both")
    return url
