"""Changes that people make to transcripts: corrected segments, names of speakers.

The functions run within a transaction of `store.jobs`. A job and the version that it shows change together.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, select, update

from scrivano.domain.errors import NoSpeakers, SegmentNotFound, TranscriptNotReady
from scrivano.domain.job import Job, JobStatus
from scrivano.domain.quality import word_probability
from scrivano.store import diarizations, search, versions
from scrivano.store.tables import jobs, results

__all__ = ["change_speakers", "edit_segment"]


def change_speakers(db: Connection, job: Job, names: Mapping[str, str | None], merge: Mapping[str, str]) -> list[str]:
    """Merge speakers, then name them; returns the ids of the jobs that have changed.

    Raises `NoSpeakers`, and `BadRequest` for an id that the job does not have.
    """
    if not job.speakers or job.status is not JobStatus.DONE:
        raise NoSpeakers(job.id)
    known = diarizations.read(db, job.id, job.speakers)
    changed = known.merged(merge).renamed(names)
    same = versions.with_same_transcript(db, job)
    if merge:
        segments = db.scalar(select(results.c.segments).where(results.c.job_id == job.id)) or b"[]"
        merged = diarizations.merge_in(segments, known.targets(merge))
        db.execute(update(results).where(results.c.job_id.in_(same)).values(segments=merged))
        for one in same:
            diarizations.add(db, one, changed)
    speakers = [asdict(speaker) for speaker in changed.speakers]
    db.execute(update(jobs).where(jobs.c.id.in_(same)).values(speakers=speakers))
    return same


def edit_segment(
    db: Connection, job: Job, index: int, edit: Callable[[Mapping[str, Any]], dict[str, Any]]
) -> dict[str, Any]:
    """Change one segment, a JSON object, and what the job's quality says of the text; returns it as it is now.

    Raises `TranscriptNotReady`, `SegmentNotFound`.
    """
    stored = db.scalar(select(results.c.segments).where(results.c.job_id == job.id))
    if stored is None:
        raise TranscriptNotReady(job.id, job.status)
    segments = json.loads(stored)
    if not 0 <= index < len(segments):
        raise SegmentNotFound(job.id, index, len(segments))
    edited = segments[index] = edit(segments[index])
    changed = json.dumps(segments, ensure_ascii=False, separators=(",", ":")).encode()
    same = versions.with_same_transcript(db, job)
    if job.quality is not None:
        db.execute(update(jobs).where(jobs.c.id.in_(same)).values(quality=_with_segments(job.quality, segments)))
    for same_id in same:
        db.execute(update(results).where(results.c.job_id == same_id).values(segments=changed))
        search.store_text(db, same_id, _text_of(segments))
    return edited


def _with_segments(quality: Mapping[str, Any], segments: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """As `domain.quality.job_quality`, where that is about the text."""
    probabilities = [word["probability"] for segment in segments for word in segment["words"]]
    doubtful = [
        {"index": index, "start": segment["start"], "end": segment["end"], "reasons": reasons}
        for index, segment in enumerate(segments)
        if (reasons := segment.get("quality", {}).get("doubtful"))
    ]
    return {**quality, "doubtful": doubtful, "word_probability": word_probability(probabilities)}


def _text_of(segments: Sequence[Mapping[str, Any]]) -> str:
    return " ".join(segment["text"] for segment in segments)
