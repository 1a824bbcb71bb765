"""What all synchronous calls share: each is a job of interactive priority, and the answer waits for the job's end.

The job is as durable as any other. A client that goes away loses nothing: the job goes on, and the same request sent
again (openai-python does so by itself) is given the same job.
"""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated

from anyio.to_thread import run_sync
from fastapi import Header
from starlette.requests import Request

from scrivano.api.services import Services
from scrivano.domain.errors import (
    JobCancelled,
    JobFailed,
    JobNotFound,
    JobTerminal,
    ModelUnavailable,
    RecordingRefused,
    ScrivanoError,
    ServerStopping,
    WorkerGone,
)
from scrivano.domain.job import Job, JobOptions, JobStatus, Task
from scrivano.domain.job_event import JobEvent
from scrivano.domain.transcript import Segment, Transcript, segment_from_dict
from scrivano.running.model_state import ModelState
from scrivano.submission.multipart import Upload
from scrivano.submission.request import JobRequest, accept

__all__ = [
    "LOOK_S",
    "PCM_HEADER",
    "Finished",
    "IdempotencyKey",
    "Language",
    "begin",
    "check_going_on",
    "detect",
    "finish",
    "known_segments",
    "submit",
    "wav_header",
]

# A request without a key is taken for the same one, sent again, if its job is not older.
TWIN_AGE = timedelta(hours=1)

# How often a waiting call looks whether the runner is alive, of which no signal tells.
LOOK_S = 5.0

# Jobs that fail so would fail again: nobody should send the recording a second time.
REFUSED_CODES = frozenset({"not_media", "no_audio", "too_long", "media_timeout", "media_crashed", "engine_input"})

IdempotencyKey = Annotated[
    str | None,
    Header(max_length=255, description="The same request sent again with the same key gets the same job."),
]


@dataclass(frozen=True, slots=True)
class Finished:
    job: Job
    transcript: Transcript


@dataclass(frozen=True, slots=True)
class Language:
    """`code` is ISO 639-1, `und` where nobody speaks; `probability` from 0 to 1."""

    code: str
    probability: float


# Failed ones, with a second and two between them.
LOADS_TO_WAIT_FOR = 3


def wav_header(rate: int = 16_000, width: int = 2, channels: int = 1) -> bytes:
    """What makes a WAV file of bare little-endian PCM, of which the length is not yet known.

    `width` is in bytes. The lengths are as large as they can be, as in a file that is written to a pipe; a reader
    stops at the file's end.
    """
    unknown = 0xFFFFFFFF
    frame = width * channels
    format = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, channels, rate, rate * frame, frame, 8 * width)
    return struct.pack("<4sI4s", b"RIFF", unknown, b"WAVE") + format + struct.pack("<4sI", b"data", unknown)


# For the bare recordings that clients of whisper-asr-webservice send: 16 kHz, mono, 16 bits.
PCM_HEADER = wav_header()


async def begin(
    services: Services,
    request: Request,
    file_field: str,
    wish_of: Callable[[Upload], JobRequest],
    *,
    idempotency_key: str | None,
    prefix: bytes = b"",
) -> str:
    """Receive the form and make it a job, or find the one that it already is; returns the job's id.

    `wish_of` says what a complete form asks for, and raises `BadRequest`. The model's state does not matter: the job
    waits for it. Raises what `Upload`, `KeyReused` and `QueueFull` say.
    """
    job_id = services.new_id()
    services.runner.upload_began()
    try:
        async with Upload(services.blobs, job_id, file_field, services.max_upload_bytes, prefix=prefix) as upload:
            await upload.receive(request, on_long=services.runner.load)
            upload.check()
            wish = wish_of(upload)
            return await _accept(services, upload, wish, idempotency_key)
    finally:
        services.runner.upload_ended()


async def submit(services: Services, pieces: AsyncIterator[bytes], wish: JobRequest, *, prefix: bytes) -> str | None:
    """Like `begin`, for a recording that comes piece by piece, without a form; None where nothing came."""
    job_id = services.new_id()
    services.runner.upload_began()
    services.runner.load()
    try:
        async with Upload(services.blobs, job_id, "audio", services.max_upload_bytes, prefix=prefix) as upload:
            await upload.fill(pieces, None)
            if not upload.size_bytes:
                return None
            return await _accept(services, upload, wish, None)
    finally:
        services.runner.upload_ended()


async def detect(services: Services, request: Request, file_field: str, *, prefix: bytes) -> tuple[str, Language]:
    """The job's id, and the language of the first speech; as soon as that is known, the job is cancelled.

    Raises what `begin` and `finish` do.
    """
    job_id = await begin(services, request, file_field, _detection, idempotency_key=None, prefix=prefix)
    async for event in follow(services, job_id):
        if event.type == "language":
            await run_sync(_cancel, services, job_id)
            return job_id, Language(event.data["language"], event.data["probability"])
    await run_sync(_finished, services, job_id)
    return job_id, Language("und", 0.0)


def _detection(upload: Upload) -> JobRequest:
    """Marked, so that it is never the twin of a transcription, which must not be cancelled."""
    return JobRequest(
        task=Task.TRANSCRIBE,
        language=None,
        filename=upload.filename,
        options=JobOptions(purpose="detect-language"),
        priority="interactive",
    )


def _cancel(services: Services, job_id: str) -> None:
    with suppress(JobTerminal, JobNotFound):
        services.store.cancel(job_id)
        services.runner.cancel(job_id)


async def finish(services: Services, job_id: str) -> Finished:
    """Wait for the job's end, however long it takes.

    Raises `RecordingRefused`, `JobFailed`, `JobCancelled`; `JobNotFound` where it was deleted meanwhile;
    `ServerStopping` and `WorkerGone` where it does not end in this process.
    """
    async for _ in follow(services, job_id):
        pass
    return await run_sync(_finished, services, job_id)


async def known_segments(services: Services, job_id: str) -> AsyncIterator[Segment]:
    """Segments as they become known, until the job has ended. Raises what `follow` does."""
    async for event in follow(services, job_id):
        if event.type == "segment":
            yield segment_from_dict(event.data)


async def follow(services: Services, job_id: str) -> AsyncIterator[JobEvent]:
    """The job's log, from its beginning until the job has ended.

    Raises `JobNotFound`, and what `check_going_on` does.
    """
    seq = 0
    with services.wake_ups.watch(job_id) as news, _about(job_id):
        while True:
            news.clear()
            # The job before its log: the log of a job that has ended is complete.
            job = await run_sync(services.store.get_job, job_id)
            for event in await run_sync(services.store.events_after, job_id, seq):
                seq = event.seq
                yield event
            if job.status.terminal:
                return
            check_going_on(services, job.model)
            with suppress(TimeoutError):
                await asyncio.wait_for(news.wait(), LOOK_S)


@contextmanager
def _about(job_id: str) -> Iterator[None]:
    """Whatever ends the wait, the caller is told which job it waited for."""
    try:
        yield
    except ScrivanoError as error:
        error.job_id = job_id
        raise


def check_going_on(services: Services, model: str | None) -> None:
    """Raises `ServerStopping`, `WorkerGone` where there is nothing to wait for in this process.

    `model` None: the usual one. Raises `ModelUnavailable` when it could not be loaded again and again: the job waits
    on, but a caller had better hear why than wait for ever.
    """
    if services.wake_ups.stopping:
        raise ServerStopping
    if not services.runner.alive:
        raise WorkerGone
    life = services.runner.models.get(model or "", services.runner.model).life
    if life.state is ModelState.UNLOADED and life.failures >= LOADS_TO_WAIT_FOR:
        raise ModelUnavailable(f"the model cannot be loaded; the job waits for it: {life.last_error}")


async def _accept(services: Services, upload: Upload, wish: JobRequest, key: str | None) -> str:
    return await accept(services, upload, wish, idempotency_key=key, twins_since=services.now() - TWIN_AGE)


def _finished(services: Services, job_id: str) -> Finished:
    job = services.store.get_job(job_id)
    if job.status is JobStatus.CANCELLED:
        raise JobCancelled(job.id)
    if job.status is JobStatus.FAILED:
        code, message = job.error_code or "internal", job.error or "the job failed"
        raise (RecordingRefused if code in REFUSED_CODES else JobFailed)(job.id, code, message)
    segments = json.loads(services.store.get_result(job.id) or b"[]")
    transcript = Transcript(
        language=job.language,
        duration=job.duration_secs or 0.0,
        segments=tuple(segment_from_dict(segment) for segment in segments),
        task=job.task.value,
    )
    return Finished(job, transcript)
