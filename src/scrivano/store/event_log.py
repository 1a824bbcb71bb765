"""The event logs of jobs: numbers new events per job, and writes all events of a transaction at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, func, insert, select, update

from scrivano.domain.job import Job
from scrivano.store.tables import events, jobs

__all__ = ["EventLog", "last_seqs"]

_LAST_SEQS = (
    select(events.c.job_id, func.max(events.c.seq))
    .where(events.c.job_id.in_(bindparam("_job_ids", expanding=True)))
    .group_by(events.c.job_id)
)
_ADD_EVENT = insert(events)
_SET_PROGRESS = update(jobs).where(jobs.c.id == bindparam("_job_id")).values(progress=bindparam("_percent"))


def last_seqs(db: Connection, job_ids: Iterable[str]) -> dict[str, int]:
    """The `seq` of the newest event of each job; 0: its log is empty."""
    found = dict.fromkeys(job_ids, 0)
    for job_id, seq in db.execute(_LAST_SEQS, {"_job_ids": list(found)}):
        found[job_id] = seq
    return found


class EventLog:
    """New events of these jobs, within one transaction.

    The rows of the jobs must be locked or changed already, so that no other writer takes the same `seq`.
    A `progress` event also sets the percentage of the job. A lower `percent` is raised to the current one.
    """

    def __init__(self, db: Connection, jobs: Iterable[Job], now: datetime) -> None:
        self._db = db
        self._now = now
        self._percents = {job.id: job.progress for job in jobs}
        self._seqs = last_seqs(db, self._percents)
        self._rows: list[dict[str, object]] = []
        self._raised: dict[str, int] = {}

    def add(self, job_id: str, kind: str, data: Mapping[str, Any]) -> int:
        """Returns the `seq` of the event. It is stored by `write`."""
        if kind == "progress":
            data = {**data, "percent": max(data["percent"], self._percents[job_id])}
            if data["percent"] > self._percents[job_id]:
                self._percents[job_id] = self._raised[job_id] = data["percent"]
        self._seqs[job_id] += 1
        row = {"job_id": job_id, "seq": self._seqs[job_id], "type": kind, "data": dict(data), "created_at": self._now}
        self._rows.append(row)
        return self._seqs[job_id]

    def write(self) -> None:
        """Store all added events, and the percentages that they raise."""
        if self._raised:
            self._db.execute(
                _SET_PROGRESS, [{"_job_id": job_id, "_percent": percent} for job_id, percent in self._raised.items()]
            )
        if self._rows:
            self._db.execute(_ADD_EVENT, self._rows)
