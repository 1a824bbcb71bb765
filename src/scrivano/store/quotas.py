"""Limits on waiting jobs, and on the unfinished jobs and the hours of audio of each API key.

The functions run within a transaction of `store.jobs`, so that two requests cannot both take the last free place.
"""

from __future__ import annotations

import math
from datetime import datetime, timedelta

from sqlalchemy import Connection, and_, delete, func, insert, select, update

from scrivano.auth.keys import Limits
from scrivano.domain.errors import LimitReached, QueueFull
from scrivano.domain.job import JobStatus
from scrivano.store import job_rows
from scrivano.store.tables import jobs, usage

__all__ = ["add_usage", "check_owner", "check_queue", "count_waiting"]

# When a client should retry after a full queue, or after the limit on unfinished jobs: about the time of a short job.
QUEUE_RETRY_S = 30

# Usage is counted by the hour, so a day is the last 24 whole hours and the current one.
DAY = timedelta(hours=24)
HOUR = timedelta(hours=1)


def count_waiting(db: Connection) -> int:
    """Jobs in the queue; running ones do not count."""
    return db.scalar(select(func.count()).select_from(jobs).where(jobs.c.status == JobStatus.QUEUED)) or 0


def check_queue(db: Connection, max_queue: int | None) -> None:
    """Raises `QueueFull`."""
    if max_queue is not None and (count := count_waiting(db)) >= max_queue:
        raise QueueFull(count, QUEUE_RETRY_S)


def check_owner(db: Connection, owner: str | None, limits: Limits, now: datetime) -> None:
    """Raises `LimitReached`.

    Audio counts when it is decoded, and the length of a new job is not yet known. An owner below the limit can
    therefore exceed it with one job.
    """
    if owner is None:
        return
    if limits.jobs is not None:
        unfinished = select(func.count()).select_from(jobs).where(jobs.c.owner == owner, ~job_rows.ENDED)
        if (db.scalar(unfinished) or 0) >= limits.jobs:
            message = f"this API key may have {limits.jobs} unfinished jobs; wait until one ends, or cancel one"
            raise LimitReached(message, QUEUE_RETRY_S)
    if limits.audio_hours_per_day is not None:
        _check_audio(db, owner, limits.audio_hours_per_day, now)


def add_usage(db: Connection, owner: str, audio_secs: float, now: datetime) -> None:
    """Add decoded audio to the current hour, and delete hours that no longer count."""
    db.execute(delete(usage).where(usage.c.owner == owner, usage.c.hour <= now - DAY - HOUR))
    hour = now.replace(minute=0, second=0, microsecond=0)
    values = {"audio_secs": usage.c.audio_secs + audio_secs}
    if not db.execute(update(usage).where(usage.c.owner == owner, usage.c.hour == hour).values(values)).rowcount:
        db.execute(insert(usage), {"owner": owner, "hour": hour, "audio_secs": audio_secs})


def _check_audio(db: Connection, owner: str, hours: float, now: datetime) -> None:
    """Counts the last 24 whole hours, the current hour, and the decoded part of unfinished jobs."""
    recent = and_(usage.c.owner == owner, usage.c.hour > now - DAY - HOUR)
    used, oldest = db.execute(select(func.sum(usage.c.audio_secs), func.min(usage.c.hour)).where(recent)).one()
    decoded = func.sum(jobs.c.duration_secs * jobs.c.progress / 100.0)
    running = db.scalar(select(decoded).where(jobs.c.owner == owner, ~job_rows.ENDED))
    if float(used or 0) + float(running or 0) >= hours * 3600:
        free_again = (oldest or now) + DAY + HOUR - now
        message = f"this API key has used its audio of a day ({hours:g} h); try again later"
        raise LimitReached(message, max(1, math.ceil(free_again.total_seconds())))
