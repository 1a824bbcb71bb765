"""Segments without word times that claim no speech that their text leaves out. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from math import inf

from scrivano.domain.coverage import Span
from scrivano.domain.transcript import Segment

__all__ = ["without_words"]


def without_words(segments: Iterable[Segment], empty: Sequence[Span]) -> tuple[Segment, ...]:
    """The segments of a chunk without their words. `empty`: speech that these leave out, ascending.

    A segment with words on both sides of such a hole becomes one on each side: its time stamps would hide the hole.
    """
    return tuple(part for segment in segments for part in _parts(segment, empty))


def _parts(segment: Segment, empty: Sequence[Span]) -> Iterator[Segment]:
    middles = [(word.start + word.end) / 2 for word in segment.words]
    cuts = [hole for hole in empty if middles and middles[0] < hole.middle <= middles[-1]]
    if not cuts:
        yield replace(segment, words=())
        return
    for left, right in pairwise([Span(-inf, -inf), *cuts, Span(inf, inf)]):
        zipped = zip(segment.words, middles, strict=True)
        words = [word for word, middle in zipped if left.middle <= middle < right.middle]
        if words:
            start, end = max(words[0].start, left.end), min(words[-1].end, right.start)
            text = "".join(word.text for word in words).strip()
            yield replace(segment, text=text, words=(), tokens=(), start=start, end=max(start, end))
