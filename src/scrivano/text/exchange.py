"""What the sides of a conversation say, as one transcript. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

from scrivano.domain.transcript import Segment, Word

__all__ = ["interleaved"]

# A segment is divided at a pause as long as this in which another side begins to speak.
PAUSE_S = 0.8


def interleaved(sides: Sequence[Sequence[Segment]]) -> tuple[Segment, ...]:
    """The segments of all sides by their start; those of one side ascend, those of several may overlap."""
    starts = [sorted(word.start for segment in side for word in segment.words) for side in sides]
    divided = [
        part
        for number, side in enumerate(sides)
        for segment in side
        for part in _parts(segment, [starts[other] for other in range(len(sides)) if other != number])
    ]
    return tuple(sorted(divided, key=lambda segment: (segment.start, segment.end)))


def _parts(segment: Segment, others: Sequence[Sequence[float]]) -> Iterator[Segment]:
    """The segment, divided where another side begins to speak in a pause of it."""
    words = segment.words
    cuts = [at for at, (before, after) in enumerate(pairwise(words), 1) if _is_answered(before, after, others)]
    edges = list(pairwise([0, *cuts, len(words)]))
    if len(edges) < 2:
        yield segment
        return
    for first, last in edges:
        some = [replace(words[first], text=words[first].text.lstrip()), *words[first + 1 : last]]
        yield replace(
            segment,
            start=segment.start if first == 0 else some[0].start,
            end=segment.end if last == len(words) else some[-1].end,
            text="".join(word.text for word in some).strip(),
            words=tuple(some),
            tokens=(),
        )


def _is_answered(before: Word, after: Word, others: Sequence[Sequence[float]]) -> bool:
    if after.start - before.end < PAUSE_S:
        return False
    return any(bisect_left(starts, before.end) < bisect_left(starts, after.start) for starts in others)
