"""Times in a chunk → times in the file. Pure."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import accumulate, groupby

from scrivano.domain.chunk import SAMPLE_RATE, Chunk
from scrivano.domain.coverage import Span
from scrivano.domain.transcript import Segment, Word

__all__ = ["spans_in_file", "to_file_time"]


def to_file_time(chunk: Chunk, segments: Iterable[Segment], *, snap_secs: float = 0.5) -> list[Segment]:
    """Segments whose times count from the first sample of the chunk → the same segments in file time.

    A segment with words on both sides of a removed pause becomes one segment on each side (without `tokens`, which
    cannot be assigned to either). A word belongs to the piece in which its middle lies, and is clamped to it. Words
    that reach less than `snap_secs` over a joint of two pieces, where there is silence, stay with their segment.
    The result ascends, does not overlap and lies within the chunk.
    """
    clock = _Clock(chunk)
    mapped: list[Segment] = []
    earliest = chunk.start
    for segment in segments:
        for part in clock.parts(segment, snap_secs):
            mapped.append(_not_before(part, earliest))
            earliest = mapped[-1].end
    return mapped


def spans_in_file(chunk: Chunk, spans: Iterable[Span]) -> tuple[Span, ...]:
    """Spans on the chunk's clock → in file time."""
    clock = _Clock(chunk)
    return tuple(clock.span(span) for span in spans)


class _Clock:
    """Converts chunk time to file time, piece by piece."""

    def __init__(self, chunk: Chunk) -> None:
        self._ends = list(accumulate(piece.seconds for piece in chunk.pieces))
        self._starts = [0.0, *self._ends[:-1]]
        self._times = [(piece.start / SAMPLE_RATE, piece.end / SAMPLE_RATE) for piece in chunk.pieces]

    def span(self, span: Span) -> Span:
        start = self._at(self._piece(span.start), span.start)
        return Span(start, max(start, self._at(self._piece(span.end), span.end)))

    def parts(self, segment: Segment, snap_secs: float) -> Iterator[Segment]:
        if not segment.words:
            yield self._whole(segment, snap_secs)
            return
        pieces = self._piece_of_each(segment.words, snap_secs)
        by_piece = groupby(zip(pieces, segment.words, strict=True), key=lambda pair: pair[0])
        groups = [(piece, [word for _, word in pairs]) for piece, pairs in by_piece]
        for number, (piece, words) in enumerate(groups):
            yield self._part(
                segment,
                piece,
                words,
                start=segment.start if number == 0 else words[0].start,
                end=segment.end if number == len(groups) - 1 else words[-1].end,
                whole=len(groups) == 1,
            )

    def _part(
        self, segment: Segment, piece: int, words: Sequence[Word], *, start: float, end: float, whole: bool
    ) -> Segment:
        first = replace(words[0], text=words[0].text.lstrip())
        placed = tuple(word.at(self._at(piece, word.start), self._at(piece, word.end)) for word in (first, *words[1:]))
        return replace(
            segment,
            start=min(self._at(piece, start), placed[0].start),
            end=max(self._at(piece, end), placed[-1].end),
            text=segment.text.lstrip() if whole else "".join(word.text for word in placed),
            words=placed,
            tokens=segment.tokens if whole else (),
        )

    def _whole(self, segment: Segment, snap_secs: float) -> Segment:
        first = self._piece(segment.start)
        last = max(first, min(bisect_left(self._ends, segment.end), len(self._ends) - 1))
        if first < last and self._ends[first] - segment.start < snap_secs:
            first += 1
        if first < last and segment.end - self._starts[last] < snap_secs:
            last -= 1
        return replace(segment, start=self._at(first, segment.start), end=self._at(last, segment.end))

    def _piece_of_each(self, words: Sequence[Word], snap_secs: float) -> list[int]:
        """The piece of each word.

        Around a joint there is silence, and the model's word times are inexact there. So first words just before a
        joint belong to the words after it, and last words just after a joint to the words before it.
        """
        pieces = list(accumulate((self._piece(middle) for middle in _middles(words)), max))
        first, last = pieces[0], pieces[-1]
        early = [place for place, piece in enumerate(pieces) if piece == first]
        if first < last and words[0].start >= self._ends[first] - snap_secs:
            pieces[: len(early)] = [pieces[len(early)]] * len(early)
        late = [place for place, piece in enumerate(pieces) if piece == last]
        if pieces[0] < last and words[-1].end <= self._starts[last] + snap_secs:
            pieces[-len(late) :] = [pieces[-len(late) - 1]] * len(late)
        return pieces

    def _piece(self, seconds: float) -> int:
        return min(bisect_right(self._ends, seconds), len(self._ends) - 1)

    def _at(self, piece: int, seconds: float) -> float:
        start, end = self._times[piece]
        return min(max(start + seconds - self._starts[piece], start), end)


def _middles(words: Sequence[Word]) -> list[float]:
    """The middle of each word; of a word without length, that of the next one that has a length, else of the last one.

    The model gives such a word the time of the end of the word before it, which may be before a pause.
    """
    middles: list[float] = []
    following = next(((word.start + word.end) / 2 for word in reversed(words) if word.end > word.start), None)
    for word in reversed(words):
        middle = (word.start + word.end) / 2
        following = middle if word.end > word.start or following is None else following
        middles.append(following)
    return middles[::-1]


def _not_before(segment: Segment, earliest: float) -> Segment:
    """The segment with its times, and those of its words, ascending from `earliest`."""
    start = max(segment.start, earliest)
    words: list[Word] = []
    at = start
    for word in segment.words:
        word_start = max(word.start, at)
        at = max(word.end, word_start)
        words.append(word.at(word_start, at))
    end = max(segment.end, at)
    return segment.at(start, end, tuple(words))
