"""Ended jobs that another server has worked on."""

from __future__ import annotations

from sqlalchemy import insert, select

from scrivano.domain.job import Job, JobStatus
from scrivano.store import idempotency
from scrivano.store.database import Database
from scrivano.store.event_log import EventLog
from scrivano.store.tables import jobs, results

__all__ = ["import_job"]


def import_job(database: Database, job: Job, segments_json: bytes, *, audio_sha256: str, audio_bytes: int) -> bool:
    """Store an ended job with its transcript and its last event, in one transaction. No webhook is called for it.

    Returns False if there is a job with this id; nothing is changed then. Raises `StorageFull`.
    """
    with database.write() as db:
        if db.execute(select(jobs.c.id).where(jobs.c.id == job.id)).first() is not None:
            return False
        row = {name: getattr(job, name) for name in Job.__dataclass_fields__}
        row |= {"options": dict(job.options), "audio_sha256": audio_sha256, "audio_bytes": audio_bytes}
        db.execute(insert(jobs), row | idempotency.identify(job, audio_sha256, None)._asdict())
        log = EventLog(db, [job], job.completed_at or job.created_at)
        if job.status is JobStatus.DONE:
            db.execute(insert(results), {"job_id": job.id, "segments": segments_json})
        if job.status is JobStatus.FAILED:
            log.add(job.id, "error", {"message": job.error, "code": job.error_code})
        else:
            log.add(job.id, "done", {})
        log.write()
    return True
