"""When the recording of a job is not needed any more. Pure."""

from __future__ import annotations

from scrivano.domain.job import Job, JobStatus

__all__ = ["is_spent"]


def is_spent(job: Job, status: JobStatus, keep_audio: bool) -> bool:
    """A failed job keeps its recording, so that it can be tried again. `keep_audio`: of jobs that do not say it."""
    keep = keep_audio if job.keep_audio is None else job.keep_audio
    return status in (JobStatus.DONE, JobStatus.CANCELLED) and not keep
