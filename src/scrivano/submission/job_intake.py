"""Store a received recording and its job, then hand the job to the runner."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from anyio.to_thread import run_sync

from scrivano.auth.keys import Caller
from scrivano.domain.job import Job, JobStatus, Priority
from scrivano.files.blob_writer import Blob
from scrivano.files.blobs import Blobs
from scrivano.running.executor import Executor
from scrivano.store.jobs import JobStore
from scrivano.store.uploads import PartialUpload
from scrivano.submission.job_request import JobRequest
from scrivano.submission.recording import Recording
from scrivano.telemetry.events import Emit, Uploaded
from scrivano.telemetry.log_context import LOG_CONTEXT, set_job

__all__ = ["JobIntake"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobIntake:
    """`max_queue` None: no limit."""

    store: JobStore
    blobs: Blobs
    executor: Executor
    emit: Emit
    now: Callable[[], datetime]
    max_queue: int | None

    async def accept(
        self,
        recording: Recording,
        job_request: JobRequest,
        caller: Caller,
        *,
        idempotency_key: str | None = None,
        duplicates_since: datetime | None = None,
    ) -> str:
        """Commit the recording and its job; returns the job's id.

        With a key, or with `duplicates_since`, that may be the id of an earlier job (see `JobStore.add_job`). Raises
        `KeyReused`, `QueueFull`, `LimitReached`, `StorageFull`.
        """
        await recording.settle()
        job = self._new_job(recording.blob_id, job_request, caller.owner)

        def commit() -> str:
            blob, job_id = recording.commit(), None
            try:
                job_id = self.store.add_job(
                    job,
                    audio_sha256=blob.sha256,
                    audio_bytes=blob.size_bytes,
                    idempotency_key=idempotency_key or None,  # A blank header counts as missing.
                    duplicates_since=duplicates_since,
                    max_queue=self.max_queue,
                    limits=caller.limits,
                    known_voices=job_request.known_voices,
                )
            finally:
                if job_id != job.id:  # refused, or an earlier job has this recording already
                    self.blobs.delete(job.id)
            self._hand_over(job, job_id, blob, time.monotonic() - recording.started_at)
            return job_id

        return await run_sync(commit)  # one thread step for the file, the row and the event

    async def accept_upload(self, upload: PartialUpload, blob: Blob, job_request: JobRequest, caller: Caller) -> str:
        """Commit the job that a settled upload in several requests becomes; returns its id.

        The job belongs to the API key that started the upload, even if another key sends the last bytes. The limits are
        those of the caller. If this fails, the upload stays.

        Raises `UploadNotFound`, `QueueFull`, `LimitReached`, `StorageFull`.
        """
        job = self._new_job(upload.id, job_request, upload.owner)
        upload_s = max(0.0, (job.created_at - upload.created_at).total_seconds())

        def commit() -> str:
            job_id = self.store.add_job(
                job,
                audio_sha256=blob.sha256,
                audio_bytes=blob.size_bytes,
                max_queue=self.max_queue,
                limits=caller.limits,
                upload_id=job.id,
            )
            self._hand_over(job, job_id, blob, upload_s)
            return job_id

        return await run_sync(commit)

    def _hand_over(self, job: Job, job_id: str, blob: Blob, upload_s: float) -> None:
        """Submit a stored job to the runner, unless the request is a duplicate of an earlier job."""
        set_job(job_id)
        if job_id == job.id:
            self.emit(Uploaded(job, upload_s, blob.size_bytes))
            logger.info("job accepted")
            self.executor.submit(job)

    def _new_job(self, job_id: str, job_request: JobRequest, owner: str | None) -> Job:
        options = job_request.options.stored()
        if job_request.priority is not Priority.NORMAL:
            options["priority"] = job_request.priority.value
        if job_request.model is not None:
            options["model"] = job_request.model
        if job_request.metadata is not None:
            options["metadata"] = dict(job_request.metadata)
        if job_request.webhook_if is not None:
            options["webhook_if"] = job_request.webhook_if
        if job_request.keep_audio is not None:
            options["keep_audio"] = job_request.keep_audio
        if job_request.language is not None:
            options["requested_language"] = job_request.language
        context = LOG_CONTEXT.get()
        return Job(
            id=job_id,
            status=JobStatus.QUEUED,
            task=job_request.task,
            created_at=self.now(),
            language=job_request.language,
            webhook_url=job_request.webhook_url,
            filename=job_request.filename,
            options=options,
            traceparent=context.traceparent if context else None,
            owner=owner,
        )
