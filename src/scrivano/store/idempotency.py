"""The earlier job that a request repeats: the job with its Idempotency-Key, or a recent duplicate.

The functions run within a transaction of `store.jobs`.
"""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, or_, select

from scrivano.domain.errors import KeyReused
from scrivano.domain.job import Job, JobStatus
from scrivano.store.tables import jobs

__all__ = ["RequestIdentity", "find_earlier", "identify"]


class RequestIdentity(NamedTuple):
    """The columns of a job by which a repeated request is recognised."""

    idempotency_key: str | None
    request_sha256: str


def identify(job: Job, audio_sha256: str, idempotency_key: str | None) -> RequestIdentity:
    """The identity of the request for this job. The file name is not part of it."""
    return RequestIdentity(_scoped(job.owner, idempotency_key), _request_sha256(job, audio_sha256))


def find_earlier(
    db: Connection, identity: RequestIdentity, owner: str | None, duplicates_since: datetime | None
) -> str | None:
    """The id of the job that an earlier request with this Idempotency-Key became.

    Without a key and with `duplicates_since`: the owner's job for the same recording and parameters, if one was
    accepted since then. Raises `KeyReused`.
    """
    if identity.idempotency_key is not None:
        return _by_key(db, identity.idempotency_key, identity.request_sha256)
    if duplicates_since is None:
        return None
    return _recent_duplicate(db, identity.request_sha256, duplicates_since, owner)


def _request_sha256(job: Job, audio_sha256: str) -> str:
    request = [audio_sha256, job.task, job.language, job.webhook_url, dict(job.options)]
    return hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()


def _scoped(owner: str | None, key: str | None) -> str | None:
    """The Idempotency-Key as stored in its unique column, so that the keys of two owners never collide.

    A header contains no newline, so the key of a request without an owner cannot look like a scoped one.
    """
    if owner is None or key is None:
        return key
    return f"{owner}\n{hashlib.sha256(key.encode()).hexdigest()}"


def _by_key(db: Connection, key: str, request_sha256: str) -> str | None:
    """The job with this key. Raises `KeyReused` if it has another recording or other parameters."""
    query = select(jobs.c.id, jobs.c.request_sha256).where(jobs.c.idempotency_key == key)
    earlier = db.execute(query).one_or_none()
    if earlier is not None and earlier.request_sha256 != request_sha256:
        raise KeyReused
    return None if earlier is None else str(earlier.id)


def _recent_duplicate(db: Connection, request_sha256: str, since: datetime, owner: str | None) -> str | None:
    """The owner's newest job since then with the same request that has a transcript, or may still get one."""
    good = jobs.c.status.in_([JobStatus.QUEUED, JobStatus.RUNNING, JobStatus.DONE])
    same_owner = jobs.c.owner.is_not_distinct_from(owner)
    same_request = jobs.c.request_sha256 == request_sha256
    # A job that was transcribed again with other options has the text of those.
    as_requested = or_(jobs.c.version.is_(None), jobs.c.version == 1)
    query = select(jobs.c.id).where(good, same_owner, jobs.c.created_at >= since, same_request, as_requested)
    return db.scalar(query.order_by(jobs.c.created_at.desc()).limit(1))
