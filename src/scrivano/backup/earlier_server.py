"""The files of the earlier server: one `{id}.json` for each job, with the fields of its HTTP interface. Pure."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from scrivano.domain.job import Job, JobStatus, Task
from scrivano.domain.transcript import Segment, segment_from_dict

__all__ = ["EarlierJob", "read_job"]

# The earlier server forgets a waiting job when it stops, and fails a running one.
UNFINISHED = (
    "the earlier server had not finished this job: retry it (POST /jobs/{id}/retry) if its recording was migrated, or"
    " submit the recording again"
)


@dataclass(frozen=True, slots=True)
class EarlierJob:
    job: Job
    segments: tuple[Segment, ...]


def read_job(content: bytes, job_id: str) -> EarlierJob:
    """The job of a file that is named like its id. Raises `ValueError`, which says what is wrong with the file."""
    try:
        data = json.loads(content)
    except ValueError as error:
        raise ValueError(f"it is not JSON ({error})") from error
    if not isinstance(data, dict) or str(data.get("id")) != job_id:
        raise ValueError("it is not a job: its id is not the name of the file")
    try:
        return _job(data, str(UUID(job_id)))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"it is not a job of the earlier server ({type(error).__name__}: {error})") from error


def _job(data: Mapping[str, Any], job_id: str) -> EarlierJob:
    status = JobStatus(data["status"])
    segments = _segments(data.get("segments") or ()) if status is JobStatus.DONE else ()
    created_at = _time(data["created_at"])
    error = data.get("error") or "the earlier server gave no reason"
    job = Job(
        id=job_id,
        status=status if status.terminal else JobStatus.FAILED,
        task=Task(data.get("task") or Task.TRANSCRIBE),
        created_at=created_at,
        language=_text(data.get("language")),
        progress=100 if status is JobStatus.DONE else _percent(data.get("progress")),
        duration_secs=_number(data.get("duration_secs")),
        error=UNFINISHED if not status.terminal else error if status is JobStatus.FAILED else None,
        error_code="migrated" if status not in (JobStatus.DONE, JobStatus.CANCELLED) else None,
        webhook_url=_text(data.get("webhook_url")),
        filename=_text(data.get("filename")),
        completed_at=_time(data["completed_at"]) if data.get("completed_at") else created_at,
    )
    return EarlierJob(job, segments)


def _segments(items: Sequence[Mapping[str, Any]]) -> tuple[Segment, ...]:
    segments = tuple(segment_from_dict({"words": (), **item}) for item in items)
    for segment in segments:
        if not (isinstance(segment.text, str) and 0 <= float(segment.start) <= float(segment.end) < math.inf):
            raise ValueError(f"a segment has no text, or bad times: {segment.start!r} to {segment.end!r}")
    return segments


def _time(text: str) -> datetime:
    when = datetime.fromisoformat(text)
    return when if when.tzinfo is not None else when.replace(tzinfo=UTC)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _percent(value: object) -> int:
    return min(100, max(0, int(value))) if isinstance(value, int | float) else 0
