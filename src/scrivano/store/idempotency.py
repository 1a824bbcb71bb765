"""Which earlier job a request asks for again: the one that came with its Idempotency-Key, or its recent twin.

The functions work within a transaction of `store`.
"""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, select

from scrivano.domain.errors import KeyReused
from scrivano.domain.job import Job, JobStatus
from scrivano.store.tables import jobs

__all__ = ["Marks", "find", "marks_of"]


class Marks(NamedTuple):
    """The columns of a job's row by which it is found again."""

    idempotency_key: str | None
    request_sha256: str


def marks_of(job: Job, audio_sha256: str, idempotency_key: str | None) -> Marks:
    """The name of the file does not matter."""
    return Marks(_scoped(job.owner, idempotency_key), _request_sha256(job, audio_sha256))


def find(db: Connection, marks: Marks, owner: str | None, twins_since: datetime | None) -> str | None:
    """The id of the job that has these marks. Raises `KeyReused`.

    Without a key, and with `twins_since`: the owner's that was accepted since then for the same.
    """
    if marks.idempotency_key is not None:
        return _same_request(db, marks.idempotency_key, marks.request_sha256)
    return None if twins_since is None else _twin(db, marks.request_sha256, twins_since, owner)


def _request_sha256(job: Job, audio_sha256: str) -> str:
    asked = [audio_sha256, job.task, job.language, job.webhook_url, dict(job.options)]
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


def _scoped(owner: str | None, key: str | None) -> str | None:
    """An Idempotency-Key as it is stored, where the column is unique: two owners' never meet. A header has no newline,
    so nobody's key looks like an owner's."""
    if owner is None or key is None:
        return key
    return f"{owner}\n{hashlib.sha256(key.encode()).hexdigest()}"


def _same_request(db: Connection, key: str, request_sha256: str) -> str | None:
    """The job that came with this key. Raises `KeyReused` when it was asked for something else."""
    query = select(jobs.c.id, jobs.c.request_sha256).where(jobs.c.idempotency_key == key)
    earlier = db.execute(query).one_or_none()
    if earlier is not None and earlier.request_sha256 != request_sha256:
        raise KeyReused
    return None if earlier is None else str(earlier.id)


def _twin(db: Connection, request_sha256: str, since: datetime, owner: str | None) -> str | None:
    """The owner's newest job that was asked for the same since then, and has, or may still get, a transcript."""
    good = jobs.c.status.in_([JobStatus.QUEUED, JobStatus.RUNNING, JobStatus.DONE])
    whose = jobs.c.owner.is_not_distinct_from(owner)
    query = select(jobs.c.id).where(good, whose, jobs.c.created_at >= since, jobs.c.request_sha256 == request_sha256)
    return db.scalar(query.order_by(jobs.c.created_at.desc()).limit(1))
