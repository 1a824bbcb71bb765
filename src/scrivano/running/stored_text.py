"""The text of a job that is not done yet, from its stored chunks."""

from __future__ import annotations

from collections.abc import Sequence

from scrivano.domain.transcript import Segment
from scrivano.running.chunk_run import ResultCodec
from scrivano.store.chunk_rows import StoredChunk
from scrivano.text.assembly import chunk_text, join_sides

__all__ = ["known_text"]


def known_text(codec: ResultCodec, chunks: Sequence[StoredChunk], duration: float) -> tuple[Segment, ...]:
    """The text of stored chunks, as the transcript would be if nothing followed. Callable from any thread."""
    texts = [
        (row.chunk, chunk_text(row.chunk, codec.parse(row.result).segments).segments)
        for row in chunks
        if row.result is not None
    ]
    return join_sides(texts, max([duration, *(row.chunk.end for row in chunks)]))
