"""The text of a job that is not done yet, from its stored chunks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from scrivano.domain.speakers import Turn
from scrivano.domain.transcript import Segment
from scrivano.running.chunk_run import ResultCodec
from scrivano.speakers.words import with_speakers_so_far
from scrivano.store.chunk_rows import StoredChunk
from scrivano.text.assembly import chunk_text, join_sides

__all__ = ["known_text"]


_CODEC = ResultCodec()


def known_text(chunks: Sequence[StoredChunk], duration: float, turns: Sequence[Turn] = ()) -> tuple[Segment, ...]:
    """The text of stored chunks, as the transcript would be if nothing followed.

    `duration`: of the file. `turns`: of the speakers so far.
    """
    results = [(row.chunk, _CODEC.parse(row.result)) for row in chunks if row.result is not None]
    # With the speech that was detected, so that what was made up where nobody spoke is not shown.
    decoded = [(replace(chunk, speech=result.speech), result.segments) for chunk, result in results]
    texts = [(chunk, chunk_text(chunk, segments).segments) for chunk, segments in decoded]
    segments, _ = join_sides(texts, max([duration, *(row.chunk.end for row in chunks)]))
    return with_speakers_so_far(segments, turns)
