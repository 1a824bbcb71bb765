"""The rows of a job's chunks.

The functions run within a transaction of `store.jobs`, which has checked that the caller's attempt may write.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, and_, bindparam, delete, insert, select, update

from scrivano.domain.chunk import Chunk, Piece
from scrivano.store.tables import chunks

__all__ = [
    "StoredChunk",
    "common_start",
    "count_crash",
    "drop_from",
    "read",
    "replace_from",
    "set_result",
    "set_voices",
]

# Built once, because building a statement takes longer than SQLite takes to run it, and these run for every chunk.
_CHUNKS = (
    select(chunks.c.idx, chunks.c.pieces, chunks.c.result, chunks.c.crashes, chunks.c.voices, chunks.c.side)
    .where(chunks.c.job_id == bindparam("_job_id"))
    .order_by(chunks.c.idx)
)
_SOME_CHUNKS = _CHUNKS.where(chunks.c.idx.in_(bindparam("_indices", expanding=True)))
_ADD_CHUNK = insert(chunks)
_DROP_CHUNKS = delete(chunks).where(chunks.c.job_id == bindparam("_job_id"), chunks.c.idx >= bindparam("_first"))
_SET_RESULT = (
    update(chunks)
    .where(chunks.c.job_id == bindparam("_job_id"), chunks.c.idx == bindparam("_idx"))
    .values(result=bindparam("_result"))
)

_SET_VOICES = (
    update(chunks)
    .where(chunks.c.job_id == bindparam("_job_id"), chunks.c.idx == bindparam("_idx"))
    .values(voices=bindparam("_voices"))
)


@dataclass(frozen=True, slots=True)
class StoredChunk:
    """A chunk as stored: `result` is None until decoded, `crashes` counts the engines that died while decoding it.

    `voices`: those in it, None until they were found.
    """

    chunk: Chunk
    result: bytes | None
    crashes: int
    voices: bytes | None = None


def read(db: Connection, job_id: str, indices: Sequence[int] | None = None) -> list[StoredChunk]:
    """The chunks of a job in order; None: all of them."""
    if indices is None:
        rows = db.execute(_CHUNKS, {"_job_id": job_id})
    else:
        rows = db.execute(_SOME_CHUNKS, {"_job_id": job_id, "_indices": indices})
    return [
        StoredChunk(Chunk(index, tuple(Piece(*piece) for piece in pieces), side=side), result, crashes, voices)
        for index, pieces, result, crashes, voices, side in rows
    ]


def common_start(plan: Sequence[Chunk], stored: Sequence[StoredChunk]) -> int:
    """How many chunks at the start of the plan are stored as they are planned."""
    for count, (planned, known) in enumerate(zip(plan, stored, strict=False)):
        if planned != known.chunk:
            return count
    return min(len(plan), len(stored))


def replace_from(db: Connection, job_id: str, plan: Sequence[Chunk], *, earlier_plan: bool) -> None:
    """Store `plan` in place of all chunks from its first index on; `earlier_plan`: whether there are any."""
    if earlier_plan:
        drop_from(db, job_id, plan[0].index)
    rows = [
        {
            "job_id": job_id,
            "idx": chunk.index,
            "pieces": [[piece.start, piece.end] for piece in chunk.pieces],
            "audio_secs": chunk.seconds,
            "crashes": 0,
            "side": chunk.side,
        }
        for chunk in plan
    ]
    db.execute(_ADD_CHUNK, rows)


def drop_from(db: Connection, job_id: str, first: int) -> None:
    db.execute(_DROP_CHUNKS, {"_job_id": job_id, "_first": first})


def set_result(db: Connection, job_id: str, index: int, result: bytes) -> bool:
    """False: the plan no longer has this chunk."""
    return bool(db.execute(_SET_RESULT, {"_job_id": job_id, "_idx": index, "_result": result}).rowcount)


def set_voices(db: Connection, job_id: str, index: int, voices: bytes) -> bool:
    """False: the plan no longer has this chunk."""
    return bool(db.execute(_SET_VOICES, {"_job_id": job_id, "_idx": index, "_voices": voices}).rowcount)


def count_crash(db: Connection, job_id: str, index: int) -> int:
    """Add one crash to a chunk. Returns its count; 0: the plan no longer has this chunk."""
    chunk = and_(chunks.c.job_id == job_id, chunks.c.idx == index)
    db.execute(update(chunks).where(chunk).values(crashes=chunks.c.crashes + 1))
    return db.scalar(select(chunks.c.crashes).where(chunk)) or 0
