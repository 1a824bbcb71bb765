"""The speakers of jobs: their turns and voices.

The functions run within a transaction of `store.jobs`, which has checked that the caller may write.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, delete, insert, select

from scrivano.domain.speakers import Diarization, MergedSpeaker, RememberedSpeaker, Speaker, Turn
from scrivano.store.tables import diarizations

__all__ = ["add", "copy", "drop", "merge_in", "read", "read_centres", "read_turns", "remembered"]

_TURNS = select(diarizations.c.turns).where(diarizations.c.job_id == bindparam("_job_id"))
_CENTRES = select(diarizations.c.centres).where(diarizations.c.job_id == bindparam("_job_id"))
_BOTH = select(diarizations.c.turns, diarizations.c.centres).where(diarizations.c.job_id == bindparam("_job_id"))
# Within `centres`, beside the speakers: {first id: [who that is now, base64 of its voice]}.
_MERGED = "merged"
_DROP = delete(diarizations).where(diarizations.c.job_id == bindparam("_job_id"))
_ADD = insert(diarizations)


def add(db: Connection, job_id: str, found: Diarization) -> None:
    """In place of what the job had."""
    drop(db, job_id)
    turns = [[turn.start, turn.end, turn.speaker] for turn in found.turns]
    centres: dict[str, Any] = {speaker: _encoded(centre) for speaker, centre in found.centres.items()}
    if found.merged_from:
        centres[_MERGED] = {first: [one.now, _encoded(one.centre)] for first, one in found.merged_from.items()}
    db.execute(_ADD, {"job_id": job_id, "turns": turns, "centres": centres})


def drop(db: Connection, job_id: str) -> None:
    db.execute(_DROP, {"_job_id": job_id})


def read(db: Connection, job_id: str, speakers: Sequence[Mapping[str, Any]]) -> Diarization:
    """All that is known; `speakers`: those in the row of the job."""
    centres, merged_from = _voices(db.scalar(_CENTRES, {"_job_id": job_id}))
    return Diarization(
        speakers=tuple(Speaker(**speaker) for speaker in speakers),
        turns=read_turns(db, job_id),
        centres=centres,
        merged_from=merged_from,
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
    return _voices(db.scalar(_CENTRES, {"_job_id": job_id}))[0]


def remembered(versions: Iterable[tuple[Sequence[Mapping[str, Any]] | None, Any]]) -> list[RememberedSpeaker]:
    """The speakers of some versions, newest first, each as in the newest version that has it.

    Each version: `speakers` in its row of `jobs`, and its `centres`.
    """
    names: dict[str, str] = {}
    found: dict[str, MergedSpeaker] = {}
    for speakers, stored in versions:
        centres, merged_from = _voices(stored)
        for speaker in speakers or ():
            names.setdefault(speaker["id"], speaker["name"])
        of_several = {one.now for one in merged_from.values()}
        alone = {one: MergedSpeaker(now=one, centre=voice) for one, voice in centres.items() if one not in of_several}
        found = alone | merged_from | found
    now = {first: _now(first, found) for first in found}
    return [
        RememberedSpeaker(id=first, now=now[first], name=names[now[first]], centre=one.centre)
        for first, one in found.items()
        if now[first] in names
    ]


def _now(speaker: str, found: Mapping[str, MergedSpeaker]) -> str:
    """Who a speaker is after the merges of several versions."""
    for _ in found:
        if speaker in found:
            speaker = found[speaker].now
    return speaker


def _voices(stored: Any) -> tuple[dict[str, bytes], dict[str, MergedSpeaker]]:
    """The voice of each speaker, and `merged_from`."""
    centres = dict(stored or {})
    merged = centres.pop(_MERGED, {})
    return (
        {speaker: base64.b64decode(centre) for speaker, centre in centres.items()},
        {first: MergedSpeaker(now=now, centre=base64.b64decode(centre)) for first, (now, centre) in merged.items()},
    )


def _encoded(centre: bytes) -> str:
    return base64.b64encode(centre).decode()
