"""Voices with names: those that people have enrolled, and those that came with a job.

The functions run within a transaction of `store.jobs`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, delete, func, insert, select, true

from scrivano.domain.speakers import NamedVoice
from scrivano.store.tables import known_voices, voices

__all__ = ["EnrolledVoice", "add", "add_known", "all_voices", "count", "drop", "known_to", "of_owner"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolledVoice:
    """`owner`: the API key that it belongs to; None: it was enrolled without a key. `centre`: the voice's vector, which
    leaves the server in no form."""

    id: str
    owner: str | None
    name: str
    centre: bytes
    created_at: datetime


_COLUMNS = [voices.c[name] for name in EnrolledVoice.__dataclass_fields__]


def add(db: Connection, voice: EnrolledVoice) -> None:
    db.execute(insert(voices), {column.name: getattr(voice, column.name) for column in _COLUMNS})


def of_owner(db: Connection, owner: str | None) -> list[EnrolledVoice]:
    """In the order in which they were enrolled."""
    return _found(db, voices.c.owner == owner)


def all_voices(db: Connection) -> list[EnrolledVoice]:
    """Of all owners, also of keys that are no longer there, in the order in which they were enrolled."""
    return _found(db, true())


def _found(db: Connection, those: ColumnElement[bool]) -> list[EnrolledVoice]:
    rows = db.execute(select(*_COLUMNS).where(those).order_by(voices.c.created_at, voices.c.id))
    return [EnrolledVoice(**row._asdict()) for row in rows]


def count(db: Connection, owner: str | None) -> int:
    return db.scalar(select(func.count()).where(voices.c.owner == owner)) or 0


def drop(db: Connection, voice_id: str, sees: str | None) -> bool:
    """`sees`: the API key whose voices may be deleted; None: all. False: there is none."""
    mine = true() if sees is None else voices.c.owner == sees
    return bool(db.execute(delete(voices).where(voices.c.id == voice_id, mine)).rowcount)


def add_known(db: Connection, job_id: str, known: Sequence[NamedVoice]) -> None:
    """They are deleted with the job."""
    if known:
        rows = [
            {"job_id": job_id, "place": place, "name": one.name, "centre": one.centre}
            for place, one in enumerate(known)
        ]
        db.execute(insert(known_voices), rows)


def known_to(db: Connection, job_id: str) -> list[NamedVoice]:
    """In the order of the request."""
    query = select(known_voices.c.name, known_voices.c.centre).where(known_voices.c.job_id == job_id)
    return [NamedVoice(**row._asdict()) for row in db.execute(query.order_by(known_voices.c.place))]
