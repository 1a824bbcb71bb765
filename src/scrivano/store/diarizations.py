"""The speakers of jobs: their turns and voices.

The functions run within a transaction of `store.jobs`, which has checked that the caller may write.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, delete, insert, select

from scrivano.domain.speakers import Diarization, Speaker, Turn
from scrivano.store.tables import diarizations

__all__ = ["add", "copy", "drop", "merge_in", "read", "read_centres", "read_turns"]

_TURNS = select(diarizations.c.turns).where(diarizations.c.job_id == bindparam("_job_id"))
_CENTRES = select(diarizations.c.centres).where(diarizations.c.job_id == bindparam("_job_id"))
_BOTH = select(diarizations.c.turns, diarizations.c.centres).where(diarizations.c.job_id == bindparam("_job_id"))
_DROP = delete(diarizations).where(diarizations.c.job_id == bindparam("_job_id"))
_ADD = insert(diarizations)


def add(db: Connection, job_id: str, found: Diarization) -> None:
    """In place of what the job had."""
    drop(db, job_id)
    turns = [[turn.start, turn.end, turn.speaker] for turn in found.turns]
    centres = {speaker: base64.b64encode(centre).decode() for speaker, centre in found.centres.items()}
    db.execute(_ADD, {"job_id": job_id, "turns": turns, "centres": centres})


def drop(db: Connection, job_id: str) -> None:
    db.execute(_DROP, {"_job_id": job_id})


def read(db: Connection, job_id: str, speakers: Sequence[Mapping[str, Any]]) -> Diarization:
    """All that is known; `speakers`: those in the row of the job."""
    return Diarization(
        speakers=tuple(Speaker(**speaker) for speaker in speakers),
        turns=read_turns(db, job_id),
        centres=read_centres(db, job_id),
    )


def merge_in(segments: bytes, targets: Mapping[str, str]) -> bytes:
    """The `segments` array of a job, in which some speakers have become others."""
    shown = json.loads(segments)
    for segment in shown:
        first = segment.get("original", {}).get("words", ())
        for spoken in (segment, *segment["words"], *first):
            if spoken.get("speaker") in targets:
                spoken["speaker"] = targets[spoken["speaker"]]
    return json.dumps(shown, ensure_ascii=False, separators=(",", ":")).encode()


def copy(db: Connection, source: str, target: str) -> None:
    """Give a job the speakers of another one, in place of its own."""
    drop(db, target)
    found = db.execute(_BOTH, {"_job_id": source}).one_or_none()
    if found is not None:
        db.execute(_ADD, {"job_id": target, **found._asdict()})


def read_turns(db: Connection, job_id: str) -> tuple[Turn, ...]:
    """Ordered by time; empty if the job has none."""
    return tuple(Turn(start, end, speaker) for start, end, speaker in db.scalar(_TURNS, {"_job_id": job_id}) or ())


def read_centres(db: Connection, job_id: str) -> Mapping[str, bytes]:
    """The voice of each speaker, by id."""
    centres = db.scalar(_CENTRES, {"_job_id": job_id}) or {}
    return {speaker: base64.b64decode(centre) for speaker, centre in centres.items()}
