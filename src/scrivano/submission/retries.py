"""Transcribe a stored recording again: a job that failed or was cancelled, or a new version of one that is done."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from scrivano.auth.keys import Caller
from scrivano.domain.errors import JobNotRetriable
from scrivano.domain.job import NEXT_STATUSES, Job, JobStatus
from scrivano.files.blobs import Blobs
from scrivano.running.executor import Executor
from scrivano.store.jobs import JobStore
from scrivano.submission.form_fields import FormFields
from scrivano.submission.job_changes import CHANGEABLE, parse_changes
from scrivano.submission.model_names import ServedModels

__all__ = ["Retries"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Retries:
    """`models`: those that are served, the default one first. `max_queue` None: no limit."""

    store: JobStore
    blobs: Blobs
    executor: Executor
    models: ServedModels
    max_queue: int | None

    def retry(self, job_id: str, fields: FormFields, caller: Caller) -> Job:
        """Queue a job again, with the options that the form names; returns the queued job.

        For a job that is done this is a new version of it: a job of its own that shares the recording. For a version,
        options that are not named are those of this version. Raises `JobNotFound`, `JobNotRetriable`, `BadRequest`,
        `LimitReached`, `StorageUnreachable`, for a version also `QueueFull`.
        """
        job = self.store.get_job(job_id, owner=caller.sees)
        changes = parse_changes(fields, job, self.models)
        if job.status is JobStatus.DONE:
            if not changes:
                raise JobNotRetriable(_unchanged(job, self.models))
            self._check_recording(job)
            queued = self.store.add_version(
                job.recording_id,
                {"task": job.task, "webhook_url": job.webhook_url, **changes},
                owner=caller.sees,
                max_queue=self.max_queue,
                limits=caller.limits,
            )
            logger.info("version accepted", extra={"job_id": queued.id})
        else:
            if JobStatus.QUEUED in NEXT_STATUSES[job.status]:
                self._check_recording(job)
            queued = self.store.retry(job_id, owner=caller.sees, limits=caller.limits, changes=changes)
        self.executor.submit(queued)
        return queued

    def _check_recording(self, job: Job) -> None:
        """Raises `JobNotRetriable`, `StorageUnreachable`."""
        try:
            self.blobs.open(job.recording_id).close()
        except FileNotFoundError as error:
            raise JobNotRetriable(
                f"the recording of job {job.recording_id} is not stored; submit it again. With KEEP_AUDIO=true the"
                " server keeps the recordings of later jobs"
            ) from error


def _unchanged(job: Job, models: ServedModels) -> str:
    served, others = ", ".join(models.names), ", ".join(name for name in CHANGEABLE if name != "model")
    return (
        f"job {job.id} is done; only failed and cancelled jobs can be tried again as they are. For a new version, name"
        f" what differs: model (this server has {served}) or one of {others}"
    )
