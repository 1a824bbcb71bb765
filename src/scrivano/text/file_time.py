"""Times in a chunk → times in the file. Pure."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import accumulate, groupby

from scrivano.domain.chunk import SAMPLE_RATE, Chunk
from scrivano.domain.transcript import Segment, Word

__all__ = ["to_file_time"]


def to_file_time(chunk: Chunk, segments: Iterable[Segment], *, snap_secs: float = 0.5) -> list[Segment]:
    """Segments whose times count from the chunk's first sample, on the file's clock.

    A segment whose words lie on both sides of a removed pause becomes one segment each side (without `tokens`,
    which cannot be told apart). A word belongs where its middle lies and is clamped to that piece; what reaches
    less than `snap_secs` over a joint, where there is silence, stays with the rest of its segment.
    The result ascends, does not overlap and lies within the chunk.
    """
    clock = _Clock(chunk)
    mapped: list[Segment] = []
    floor = chunk.start
    for segment in segments:
        for part in clock.parts(segment, snap_secs):
            mapped.append(_not_before(part, floor))
            floor = mapped[-1].end
    return mapped


class _Clock:
    """Chunk time to file time through the pieces."""

    def __init__(self, chunk: Chunk) -> None:
        self._ends = list(accumulate(piece.seconds for piece in chunk.pieces))
        self._begins = [0.0, *self._ends[:-1]]
        self._times = [(piece.start / SAMPLE_RATE, piece.end / SAMPLE_RATE) for piece in chunk.pieces]

    def parts(self, segment: Segment, snap_secs: float) -> Iterator[Segment]:
        if not segment.words:
            yield self._whole(segment, snap_secs)
            return
        homes = self._homes(segment.words, snap_secs)
        by_piece = groupby(zip(homes, segment.words, strict=True), key=lambda pair: pair[0])
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
        if first < last and segment.end - self._begins[last] < snap_secs:
            last -= 1
        return replace(segment, start=self._at(first, segment.start), end=self._at(last, segment.end))

    def _homes(self, words: Sequence[Word], snap_secs: float) -> list[int]:
        """The piece of each word.

        Around a joint there is silence. First words that lie there just before it belong to what follows, last words
        just after it to what came before: the model's word times are no better than that.
        """
        homes = list(accumulate((self._piece((word.start + word.end) / 2) for word in words), max))
        first, last = homes[0], homes[-1]
        early = [place for place, home in enumerate(homes) if home == first]
        if first < last and words[0].start >= self._ends[first] - snap_secs:
            homes[: len(early)] = [homes[len(early)]] * len(early)
        late = [place for place, home in enumerate(homes) if home == last]
        if homes[0] < last and words[-1].end <= self._begins[last] + snap_secs:
            homes[-len(late) :] = [homes[-len(late) - 1]] * len(late)
        return homes

    def _piece(self, seconds: float) -> int:
        return min(bisect_right(self._ends, seconds), len(self._ends) - 1)

    def _at(self, piece: int, seconds: float) -> float:
        start, end = self._times[piece]
        return min(max(start + seconds - self._begins[piece], start), end)


def _not_before(segment: Segment, floor: float) -> Segment:
    """The segment with its times, and its words' times, made to ascend from `floor`."""
    start = max(segment.start, floor)
    words: list[Word] = []
    at = start
    for word in segment.words:
        begin = max(word.start, at)
        at = max(word.end, begin)
        words.append(word.at(begin, at))
    end = max(segment.end, at)
    return segment.at(start, end, tuple(words))
