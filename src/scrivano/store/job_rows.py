"""The rows of jobs: statements that the store's modules share, and the fence.

The fence lets only the newest attempt at a job write, while the job has not ended. The functions run within a
transaction of the caller.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import ColumnElement, Connection, String, and_, bindparam, or_, select, true, update
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler

from scrivano.domain.errors import JobNotFound
from scrivano.domain.job import NEXT_STATUSES, Job, JobStatus, Priority
from scrivano.store.tables import Utc, jobs

__all__ = [
    "ABANDONED",
    "CANCELLABLE",
    "CLAIM",
    "COLUMNS",
    "ENDED",
    "OUTCOME",
    "QUEUED",
    "RUNNING",
    "UNFINISHED",
    "find",
    "find_whole",
    "held",
    "of_class",
    "owned_by",
    "running",
    "set_columns",
]

COLUMNS = [jobs.c[name] for name in Job.__dataclass_fields__]

ENDED = jobs.c.status.in_([status for status in JobStatus if status.terminal])
UNFINISHED = jobs.c.status.in_([status for status in JobStatus if not status.terminal])

# What an attempt finds out. A job that waits to be transcribed again has none of it.
OUTCOME = (
    "error",
    "error_code",
    "completed_at",
    "duration_secs",
    "chunks_total",
    "audio",
    "warnings",
    "quality",
    "speakers",
    "decoded_by",
)

# Built once: building a statement takes longer than SQLite takes to run it, and these run for every chunk.
_GET_JOB = select(*COLUMNS).where(jobs.c.id == bindparam("_job_id"))
_GET_OWN_JOB = _GET_JOB.where(jobs.c.owner == bindparam("_owner"))
# In one order, so that two transactions never wait for each other.
_HELD = (
    select(*COLUMNS).where(jobs.c.id.in_(bindparam("_job_ids", expanding=True))).order_by(jobs.c.id).with_for_update()
)
_SET_JOB = update(jobs).where(jobs.c.id == bindparam("_job_id"))
QUEUED = _SET_JOB.where(jobs.c.status == JobStatus.QUEUED)
CANCELLABLE = _SET_JOB.where(
    jobs.c.status.in_([status for status in JobStatus if JobStatus.CANCELLED in NEXT_STATUSES[status]])
)
# The fence: the attempt is the newest one of the job, and the job has not ended.
RUNNING = _SET_JOB.where(jobs.c.attempt == bindparam("_attempt"), jobs.c.status == JobStatus.RUNNING)
# Its attempt has lost its lease, or has given it up.
ABANDONED = and_(
    jobs.c.status == JobStatus.RUNNING,
    or_(jobs.c.lease_expires_at.is_(None), jobs.c.lease_expires_at <= bindparam("_now", type_=Utc())),
)
CLAIM = _SET_JOB.where(or_(jobs.c.status == JobStatus.QUEUED, ABANDONED)).values(
    status=JobStatus.RUNNING, attempt=jobs.c.attempt + 1, lease_expires_at=bindparam("_until", type_=Utc())
)


def set_columns(db: Connection, job_id: str, attempt: int, **values: object) -> bool:
    """Change the row of a job, if this is its newest attempt and the job has not ended; returns whether it was."""
    return bool(db.execute(RUNNING, {"_job_id": job_id, "_attempt": attempt, **values}).rowcount)


def held(db: Connection, job_id: str, attempt: int) -> Job | None:
    """The job, if the fence lets this attempt write. Its row is locked until the commit (SQLite locks everything)."""
    job = running(db, [job_id]).get(job_id)
    return job if job is not None and job.attempt == attempt else None


def running(db: Connection, job_ids: Collection[str]) -> dict[str, Job]:
    """The running ones of these jobs, locked like in `held`."""
    rows = db.execute(_HELD, {"_job_ids": list(job_ids)})
    return {row.id: Job(**row._asdict()) for row in rows if row.status is JobStatus.RUNNING}


class _PriorityOfJob(ColumnElement[str]):
    """In the very words of the index `jobs_by_class`; with parameters in it PostgreSQL would not know it again."""

    inherit_cache = True
    type = String()


@compiles(_PriorityOfJob, "postgresql")
def _of_postgres(element: _PriorityOfJob, compiler: SQLCompiler, **keywords: Any) -> str:
    return "coalesce(jobs.options ->> 'priority', 'normal')"


@compiles(_PriorityOfJob, "sqlite")
def _of_sqlite(element: _PriorityOfJob, compiler: SQLCompiler, **keywords: Any) -> str:
    return "coalesce(json_extract(jobs.options, '$.priority'), 'normal')"


def of_class(models: Collection[str | None], priority: Priority) -> ColumnElement[bool]:
    """Jobs of a priority for one of these models; None: for the default one."""
    model = jobs.c.options["model"].as_string()
    names = [name for name in models if name is not None]
    of_model = or_(model.in_(names), model.is_(None)) if None in models else model.in_(names)
    return and_(of_model, _PriorityOfJob() == priority.value)


def owned_by(owner: str | None) -> ColumnElement[bool]:
    return true() if owner is None else jobs.c.owner == owner


def find_whole(db: Connection, job_id: str, owner: str | None) -> Job:
    """The job, also by the id of one of its versions. Raises `JobNotFound`."""
    job = find(db, job_id, owner)
    return job if job.version_of is None else find(db, job.version_of, owner)


def find(db: Connection, job_id: str, owner: str | None = None, *, lock: bool = False) -> Job:
    """`lock`: its row is locked until the commit. Raises `JobNotFound`."""
    query, values = (_GET_JOB, {}) if owner is None else (_GET_OWN_JOB, {"_owner": owner})
    row = db.execute(query.with_for_update() if lock else query, {"_job_id": job_id, **values}).one_or_none()
    if row is None:
        raise JobNotFound(job_id)
    return Job(**row._asdict())
