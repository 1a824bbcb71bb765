"""Versions of a job: its recording transcribed again, with another model or other options.

A version is a row of `jobs` as any other: it is queued, claimed, decoded and resumed like a job, and has its own events
and transcript. `version_of` names its job, whose recording it shares. The row of the job itself always has the newest
version that is done. It gets a copy of that, in the transaction that publishes the version, so that whoever reads a
job need not know of versions. What the job had first is kept as version 1.

The functions run within a transaction of `store.jobs`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    and_,
    bindparam,
    delete,
    exists,
    func,
    insert,
    literal,
    or_,
    select,
    update,
)

from scrivano.domain.errors import JobUnfinished, VersionNotFound, VersionOfJob
from scrivano.domain.job import Job, JobStatus
from scrivano.store import diarizations, job_rows
from scrivano.store.tables import diarizations as diarizations_table
from scrivano.store.tables import jobs, results

__all__ = [
    "add",
    "check_purgeable",
    "find",
    "no_version_unfinished",
    "of_job",
    "promote",
    "purge",
    "with_same_transcript",
    "with_speakers",
]

# What the job shows of the version that it serves.
_SERVED = (
    "task",
    "language",
    "duration_secs",
    "options",
    "completed_at",
    "audio",
    "warnings",
    "quality",
    "speakers",
    "version",
    "decoded_by",
)

_OF_JOB = select(*job_rows.COLUMNS).where(jobs.c.version_of == bindparam("_job_id")).order_by(jobs.c.version)


def of_job(db: Connection, job: Job) -> list[Job]:
    """All versions of a job, oldest first. A job that was never transcribed again is its own only version."""
    if job.version is None:
        return [job]
    return [Job(**row._asdict()) for row in db.execute(_OF_JOB, {"_job_id": job.id})]


def find(db: Connection, job: Job, number: int) -> Job:
    """Raises `VersionNotFound`."""
    versions = {version.version or 1: version for version in of_job(db, job)}
    if number not in versions:
        raise VersionNotFound(job.id, number, list(versions))
    return versions[number]


def add(db: Connection, job: Job, changes: Mapping[str, Any], now: datetime) -> str:
    """Queue a new version of a job that is done; returns its id. `changes`: columns that differ from the job's."""
    if job.version is None:
        _keep_first(db, job)
    newest = db.scalar(select(func.max(jobs.c.version)).where(jobs.c.version_of == job.id)) or 1
    values = dict.fromkeys(job_rows.OUTCOME) | {
        "status": JobStatus.QUEUED,
        "progress": 0,
        "attempt": 0,
        "created_at": now,
        **changes,
    }
    return _copy(db, job, newest + 1, values)


def promote(db: Connection, version: Job) -> bool:
    """A version is done: its job shows it from now on, unless it shows a newer one already. Returns whether it does."""
    shown = {name: getattr(version, name) for name in _SERVED}
    older = jobs.c.version < version.version
    newest = bool(db.execute(update(jobs).where(jobs.c.id == version.version_of, older).values(shown)).rowcount)
    if newest:
        segments = select(results.c.segments).where(results.c.job_id == version.id).scalar_subquery()
        db.execute(update(results).where(results.c.job_id == version.version_of).values(segments=segments))
        diarizations.copy(db, version.id, str(version.version_of))
    return newest


def with_speakers(db: Connection, job_id: str, *, sides: bool) -> Sequence[Row[Any, Any, Any]]:
    """`speakers` and `centres` of the versions of a job that are done and have speakers, newest first.

    `sides`: of those whose sides are the speakers; else of the others.
    """
    query = (
        select(jobs.c.speakers, jobs.c.audio, diarizations_table.c.centres)
        .join(diarizations_table, diarizations_table.c.job_id == jobs.c.id)
        .where(jobs.c.version_of == job_id, jobs.c.status == JobStatus.DONE)
        .order_by(jobs.c.version.desc())
    )
    rows = db.execute(query).all()
    return [row for row in rows if row.speakers and ((row.audio or {}).get("sides", 1) > 1) == sides]


def with_same_transcript(db: Connection, job: Job) -> list[str]:
    """The ids of a job, and of the version that it shows; of a version, with its job if that shows it."""
    if job.version is None:
        return [job.id]
    of_version = and_(jobs.c.version_of == job.recording_id, jobs.c.version == job.version)
    of_job = and_(jobs.c.id == job.recording_id, jobs.c.version == job.version)
    return list(db.scalars(select(jobs.c.id).where(or_(of_version, of_job))))


def check_purgeable(db: Connection, job: Job) -> None:
    """Raises `VersionOfJob` for a version, and `JobUnfinished` for a job with a version that has not ended."""
    if job.version_of is not None:
        raise VersionOfJob(job.id, job.version or 1, job.version_of)
    for version in of_job(db, job):
        if not version.status.terminal:
            raise JobUnfinished(version.id, version.status)


def purge(db: Connection, job_id: str) -> None:
    """Delete the versions of a job, with all that belongs to them."""
    db.execute(delete(jobs).where(jobs.c.version_of == job_id))


def no_version_unfinished() -> ColumnElement[bool]:
    """For a query of `jobs`: whether all versions of a job have ended."""
    version = jobs.alias("of_job")
    alive = version.c.status.in_([status for status in JobStatus if not status.terminal])
    return ~exists().where(version.c.version_of == jobs.c.id, alive)


def _keep_first(db: Connection, job: Job) -> None:
    """The transcript that the job has now becomes version 1."""
    first = _copy(db, job, 1, {})
    names = ["job_id", "segments"]
    query = select(literal(first), results.c.segments).where(results.c.job_id == job.id)
    db.execute(insert(results).from_select(names, query))
    diarizations.copy(db, job.id, first)
    db.execute(update(jobs).where(jobs.c.id == job.id).values(version=1))


def _copy(db: Connection, job: Job, number: int, changes: Mapping[str, Any]) -> str:
    """Add a row like the job's. A repeated request is never for a version: that has no identity of its own."""
    version_id = f"{job.id}-v{number}"
    row = db.execute(select(jobs).where(jobs.c.id == job.id)).one()._asdict()
    identity = {"id": version_id, "version": number, "version_of": job.id}
    no_request = {"idempotency_key": None, "request_sha256": "", "lease_expires_at": None}
    db.execute(insert(jobs), row | identity | no_request | dict(changes))
    return version_id
