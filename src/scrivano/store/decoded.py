"""What is known of a job after one of its chunks was decoded.

`store_decoded` runs within a transaction of `store.jobs`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection

from scrivano.domain.job import Job
from scrivano.store import chunk_rows, job_rows
from scrivano.store.event_log import EventLog

__all__ = ["Decoded", "store_decoded"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """What is known of a job after a chunk was decoded, on its way into the store.

    `index` and `result` of the chunk; None: there is no result to store. `language` becomes that of the job if it has
    none. The rest is the data of events to append, in this order: `segments` (one event each), `progress` (`percent`,
    `chunk`, `chunks_total`; it also sets the percentage of the job), `detected` (`language`, `probability`).
    """

    job_id: str
    attempt: int
    index: int | None
    result: bytes | None
    language: str | None = None
    segments: Sequence[Mapping[str, Any]] = ()
    progress: Mapping[str, Any] | None = None
    detected: Mapping[str, Any] | None = None


def store_decoded(db: Connection, running: dict[str, Job], log: EventLog, decoded: Decoded) -> bool:
    """Returns whether it was accepted: its attempt is in `running`, and the plan has the chunk.

    `running` is kept up to date.
    """
    job = running.get(decoded.job_id)
    if job is None or job.attempt != decoded.attempt:
        return False
    if decoded.index is not None and decoded.result is not None:
        stored = chunk_rows.set_result(db, decoded.job_id, decoded.index, decoded.result)
        if not stored:
            return False
    if job.language is None and decoded.language is not None:
        job_rows.set_columns(db, job.id, decoded.attempt, language=decoded.language)
        running[job.id] = replace(job, language=decoded.language)
    for segment in decoded.segments:
        log.add(job.id, "segment", segment)
    if decoded.progress is not None:
        log.add(job.id, "progress", decoded.progress)
    if decoded.detected is not None:
        log.add(job.id, "language", decoded.detected)
    return True
