"""What a submission asks for, and how it becomes a job: the one way in for every protocol."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from anyio.to_thread import run_sync

from scrivano.api.compat.openai_request import served_model
from scrivano.api.services import Services
from scrivano.domain.errors import BadParameter, BadRequest, ModelNotFound, WorkerGone
from scrivano.domain.job import Job, JobOptions, JobStatus, Task
from scrivano.domain.languages import parse_choice, parse_language
from scrivano.files.blob_writer import Blob
from scrivano.submission.audio_url import http_url
from scrivano.submission.multipart import Upload
from scrivano.telemetry.events import Uploaded
from scrivano.telemetry.log_context import LOG_CONTEXT, set_job

__all__ = ["MAX_BEAM_SIZE", "JobRequest", "accept", "admit", "flag", "new_job", "parse_job_request", "store_upload"]

logger = logging.getLogger(__name__)

MAX_BEAM_SIZE = 10
TRUE = ("1", "true", "yes", "on")
FALSE = ("0", "false", "no", "off")

Fields = Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRequest:
    """What is asked for. `language` None: detect it; `model` None: the usual one. `metadata` comes back as it is."""

    task: Task
    language: str | None
    model: str | None = None
    options: JobOptions = field(default_factory=JobOptions)
    webhook_url: str | None = None
    filename: str | None = None
    priority: Literal["interactive", "normal", "bulk"] = "normal"
    metadata: Mapping[str, str] | None = None


async def accept(
    services: Services,
    upload: Upload,
    wish: JobRequest,
    *,
    idempotency_key: str | None = None,
    twins_since: datetime | None = None,
) -> str:
    """Keep the recording, store the job, tell the runner; returns the job's id.

    With a key, or `twins_since`, it may be an earlier job's (see `JobStore.add_job`). Raises `BadRequest` where there
    is no recording, `WorkerGone`, `KeyReused`, `QueueFull`, `LimitReached`, `StorageFull`.
    """
    upload.check()
    if not services.runner.alive:
        raise WorkerGone
    await upload.settle()
    job = new_job(services, upload.blob_id, wish)
    return await run_sync(_store, services, job, upload, idempotency_key, twins_since)


async def admit(services: Services, wish: JobRequest) -> None:
    """Before a recording is sent in several requests, and again when it is here: whether the job would be accepted.

    The model's state does not matter. Raises `WorkerGone`, `QueueFull`, `LimitReached`.
    """
    if not services.runner.alive:
        raise WorkerGone
    await run_sync(services.store.check_room, services.max_queue, services.caller.owner, services.caller.limits)
    if wish.webhook_url:
        services.webhooks.register(wish.webhook_url)


def parse_job_request(
    fields: Fields, filename: str | None, models: Sequence[str], languages: Sequence[str] = ()
) -> JobRequest:
    """The form of `POST /jobs`. Raises `BadRequest` with what to write instead. Unknown fields are ignored.

    `models`: those that are served, the usual one first. `languages`: values of the field that may come several times.
    """
    task = fields.get("task", Task.TRANSCRIBE.value)
    if task not in list(Task):
        raise BadRequest("task must be 'transcribe' or 'translate'")
    flag(fields, "queue")
    language, allowed = parse_choice(fields.get("language"), languages)
    return JobRequest(
        task=Task(task),
        language=language,
        model=_model(_text(fields, "model"), models),
        options=JobOptions(
            prompt=_text(fields, "prompt"),
            hotwords=_text(fields, "hotwords"),
            word_timestamps=flag(fields, "word_timestamps"),
            vad=flag(fields, "vad"),
            beam_size=_beam_size(_text(fields, "beam_size")),
            temperature=_temperature(_text(fields, "temperature")),
            languages=allowed,
            multilingual=_multilingual(fields, language),
        ),
        webhook_url=http_url(fields.get("webhook_url"), "webhook_url"),
        filename=filename,
        priority=_priority(_text(fields, "priority")),
        metadata=_metadata(_text(fields, "metadata")),
    )


def flag(fields: Fields, name: str) -> bool | None:
    """None: not given. Raises `BadParameter`."""
    value = _text(fields, name)
    if value is None or value.lower() in TRUE + FALSE:
        return None if value is None else value.lower() in TRUE
    raise BadParameter(name, f"{name} must be 'true' or 'false'")


def _multilingual(fields: Fields, language: str | None) -> bool | None:
    """None where it makes no difference: one language is all that there is."""
    wanted = flag(fields, "multilingual")
    if wanted and parse_language(fields.get("language")):
        message = "multilingual=true finds the languages itself: leave out language, or name several in languages"
        raise BadParameter("multilingual", message)
    return True if wanted and language is None else None


def _text(fields: Fields, name: str) -> str | None:
    """Many forms send a field that was left empty."""
    return fields.get(name, "").strip() or None


def _model(name: str | None, models: Sequence[str]) -> str | None:
    try:
        return served_model(name, models)
    except ModelNotFound as error:
        raise BadParameter("model", f"{error}; leave out 'model' for '{models[0]}'") from error


def _beam_size(text: str | None) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 4 and 1 <= int(text) <= MAX_BEAM_SIZE):
        raise BadParameter("beam_size", f"beam_size must be a whole number from 1 to {MAX_BEAM_SIZE}")
    return int(text)


def _temperature(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise BadParameter("temperature", "temperature must be a number from 0 to 1")
    return value


def _priority(text: str | None) -> Literal["interactive", "normal", "bulk"]:
    match (text or "normal").lower():
        case "interactive":
            return "interactive"
        case "normal":
            return "normal"
        case "bulk":
            return "bulk"
    raise BadParameter("priority", "priority must be 'interactive', 'normal' or 'bulk'")


def _metadata(text: str | None) -> dict[str, str] | None:
    if text is None:
        return None
    try:
        given = json.loads(text)
        json.dumps(given, ensure_ascii=False).encode()  # half a surrogate pair has no bytes
    except (ValueError, RecursionError):
        given = None
    if not isinstance(given, dict) or not all(isinstance(value, str) for value in given.values()):
        raise BadParameter("metadata", 'metadata must be a JSON object of strings, such as {"customer": "42"}')
    return given


def new_job(services: Services, job_id: str, wish: JobRequest) -> Job:
    options = wish.options.stored()
    if wish.priority != "normal":
        options["priority"] = wish.priority
    if wish.model is not None:
        options["model"] = wish.model
    if wish.metadata is not None:
        options["metadata"] = dict(wish.metadata)
    return Job(
        id=job_id,
        status=JobStatus.QUEUED,
        task=wish.task,
        created_at=services.now(),
        language=wish.language,
        webhook_url=wish.webhook_url,
        filename=wish.filename,
        options=options,
        traceparent=current.traceparent if (current := LOG_CONTEXT.get()) else None,
        owner=services.caller.owner,
    )


def _store(services: Services, job: Job, upload: Upload, key: str | None, twins_since: datetime | None) -> str:
    """Commit recording and job; returns the id of the job that the request stands for, this one or an earlier one."""
    blob, job_id = upload.keep(), None
    try:
        job_id = services.store.add_job(
            job,
            audio_sha256=blob.sha256,
            audio_bytes=blob.size_bytes,
            idempotency_key=key,
            twins_since=twins_since,
            max_queue=services.max_queue,
            limits=services.caller.limits,
        )
    finally:
        if job_id != job.id:
            services.blobs.delete(job.id)
    set_job(job_id)
    if job_id == job.id:
        services.emit(Uploaded(job, time.monotonic() - upload.began, blob.size_bytes))
        logger.info("job accepted")
        services.runner.submit(job)
    return job_id


def store_upload(services: Services, job: Job, blob: Blob, secs: float) -> str:
    """Commit the job that the upload of the same id has become; an upload that cannot become one yet stays.

    `secs`: since the upload began. Returns the job's id. Raises `UploadNotFound`, `QueueFull`, `StorageFull`.
    """
    job_id = services.store.add_job(
        job,
        audio_sha256=blob.sha256,
        audio_bytes=blob.size_bytes,
        max_queue=services.max_queue,
        limits=services.caller.limits,
        upload_id=job.id,
    )
    set_job(job_id)
    services.emit(Uploaded(job, secs, blob.size_bytes))
    logger.info("job accepted")
    services.runner.submit(job)
    return job_id
