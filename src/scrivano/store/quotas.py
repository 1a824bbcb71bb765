"""How many jobs may wait, and how many jobs and how much audio an API key may have. Counted where the jobs are.

The functions work within a transaction of `store`.
"""

from __future__ import annotations

import math
from datetime import datetime, timedelta

from sqlalchemy import Connection, and_, delete, func, insert, select, update

from scrivano.auth.keys import Limits
from scrivano.domain.errors import LimitReached, QueueFull
from scrivano.domain.job import JobStatus
from scrivano.store.tables import jobs, usage

__all__ = ["check_owner", "check_queue", "spend", "waiting"]

# When a client should ask again that a full queue, or its key's limit of jobs, has sent away.
QUEUE_RETRY_S = 30

DAY = timedelta(hours=24)
HOUR = timedelta(hours=1)

_ENDED = jobs.c.status.in_([status for status in JobStatus if status.terminal])


def waiting(db: Connection) -> int:
    """Jobs in the queue; running ones do not count."""
    return db.scalar(select(func.count()).select_from(jobs).where(jobs.c.status == JobStatus.QUEUED)) or 0


def check_queue(db: Connection, max_queue: int | None) -> None:
    """Raises `QueueFull`."""
    if max_queue is not None and (count := waiting(db)) >= max_queue:
        raise QueueFull(count, QUEUE_RETRY_S)


def check_owner(db: Connection, owner: str | None, limits: Limits, now: datetime) -> None:
    """Raises `LimitReached`. Audio counts as it is decoded, and that of the job itself is not yet known: who is below
    the limit may go over it once."""
    if owner is None:
        return
    if limits.jobs is not None:
        going_on = select(func.count()).select_from(jobs).where(jobs.c.owner == owner, ~_ENDED)
        if (db.scalar(going_on) or 0) >= limits.jobs:
            message = f"this API key may have {limits.jobs} jobs that have not ended; wait for one, or cancel one"
            raise LimitReached(message, QUEUE_RETRY_S)
    if limits.audio_hours_per_day is not None:
        _check_audio(db, owner, limits.audio_hours_per_day, now)


def spend(db: Connection, owner: str, audio_secs: float, now: datetime) -> None:
    """Count it for the hour that it is; what no day can contain any more goes."""
    db.execute(delete(usage).where(usage.c.owner == owner, usage.c.hour <= now - DAY - HOUR))
    hour = now.replace(minute=0, second=0, microsecond=0)
    more = {"audio_secs": usage.c.audio_secs + audio_secs}
    if not db.execute(update(usage).where(usage.c.owner == owner, usage.c.hour == hour).values(more)).rowcount:
        db.execute(insert(usage), {"owner": owner, "hour": hour, "audio_secs": audio_secs})


def _check_audio(db: Connection, owner: str, hours: float, now: datetime) -> None:
    """Over the last 24 whole hours and the one that goes on, and over what runs."""
    recent = and_(usage.c.owner == owner, usage.c.hour > now - DAY - HOUR)
    used, oldest = db.execute(select(func.sum(usage.c.audio_secs), func.min(usage.c.hour)).where(recent)).one()
    decoded = func.sum(jobs.c.duration_secs * jobs.c.progress / 100.0)
    running = db.scalar(select(decoded).where(jobs.c.owner == owner, ~_ENDED))
    if float(used or 0) + float(running or 0) >= hours * 3600:
        back = (oldest or now) + DAY + HOUR - now
        message = f"this API key may have {hours:g} hours of audio a day, which are used up; come back later"
        raise LimitReached(message, max(1, math.ceil(back.total_seconds())))
