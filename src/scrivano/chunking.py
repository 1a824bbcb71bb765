"""Speech probabilities → spans of speech → chunks cut in silence, and chunk times → file times. Pure and streaming.

The same probabilities give the same chunks, in blocks of any size: a job that resumes relies on it.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, groupby, pairwise

from scrivano.jobs import SAMPLE_RATE, Chunk, Piece
from scrivano.transcript import Segment, Word

WINDOW = 512
"""Samples per speech probability (32 ms): what Silero VAD hears at once."""

BRIEF_WINDOWS = 3
"""A dip of so many windows (about 100 ms, as in Silero) is a good place to cut speech that never pauses."""


@dataclass(frozen=True, slots=True)
class Span:
    """Speech found by the VAD, `start <= sample < end`, without padding."""

    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkingOptions:
    """Speech begins at `threshold` and ends below `neg_threshold` (Silero's hysteresis and defaults).

    `min_silence_ms`: a shorter dip does not end a span. 300 ms is a pause between phrases; the closure of a
    stop consonant lasts at most half of it, so no cut falls inside a word.
    `min_speech_ms`: spans not longer than this are clicks; the shortest "yes" is longer.
    `pad_ms`: silence kept on either side of a span, or half of the pause where that is less. Silero crosses its
    threshold up to 200 ms after a soft onset (an "f", an "h"), hence 500; with 300, held-out speech had 4.8 % of its
    words wrong instead of 3.7 %. Within a chunk a pause of up to
    twice this is therefore kept whole, and a longer one is shortened to it by its middle.
    `max_chunk_secs`: the model's window.
    """

    threshold: float = 0.5
    neg_threshold: float = 0.35
    min_silence_ms: int = 300
    min_speech_ms: int = 96
    pad_ms: int = 500
    max_chunk_secs: float = 30.0


class SpanFinder:
    """Speech probabilities in, spans out, by the rules of Silero's `get_speech_timestamps`."""

    def __init__(self, options: ChunkingOptions) -> None:
        self._threshold = options.threshold
        self._neg_threshold = options.neg_threshold
        self._min_silence = _samples(options.min_silence_ms)
        self._min_speech = _samples(options.min_speech_ms)
        self._position = 0
        self._start: int | None = None
        self._quiet: int | None = None
        self._heard: list[float] = []
        self._continued = False

    def push(self, probability: float) -> Span | None:
        """Hear one window. Returns the span that it ended, if any."""
        at = self._position
        self._position += WINDOW
        if self._start is None:
            if probability >= self._threshold:
                self._start = at
                self._heard = [probability]
            return None
        self._heard.append(probability)
        if probability >= self._threshold:
            self._quiet = None
        elif probability < self._neg_threshold:
            self._quiet = at if self._quiet is None else self._quiet
            if at - self._quiet >= self._min_silence:
                return self._end()
        return None

    @property
    def position(self) -> int:
        """Samples heard."""
        return self._position

    @property
    def current(self) -> Span | None:
        """The span that is open, as far as it is certain to be speech."""
        if self._start is None:
            return None
        span = Span(self._start, self._position if self._quiet is None else self._quiet)
        # The rest of a span that was cut is speech, however short.
        long_enough = self._continued or span.end - span.start > self._min_speech
        return span if long_enough else None

    def cut(self) -> Span:
        """End the open span in its second half, where it hurts least; what follows stays open.

        That is in the middle of its last brief silence, or else at its least likely speech.
        """
        assert self._start is not None
        place = _last_dip(self._heard, self._neg_threshold) or _least_likely(self._heard)
        span = Span(self._start, self._start + place * WINDOW)
        self._start = span.end
        self._heard = self._heard[place:]
        self._continued = True
        return span

    def finish(self, samples: int) -> Span | None:
        """The recording ended at `samples`. Returns the span that was open, if any."""
        self._position = samples
        return None if self._start is None else self._end()

    def _end(self) -> Span | None:
        span = self.current
        self._start = self._quiet = None
        self._continued = False
        return span


class Chunker:
    """Speech probabilities in, chunks out, each as soon as nothing that follows can change it.

    Consecutive spans share a chunk as long as they fit. Speech is cut only where one span alone is too long.
    """

    def __init__(self, options: ChunkingOptions | None = None) -> None:
        options = options or ChunkingOptions()
        self._finder = SpanFinder(options)
        self._pad = _samples(options.pad_ms)
        self._max = round(options.max_chunk_secs * SAMPLE_RATE)
        self._spans: list[Span] = []
        self._size = 0
        self._taken = 0
        self._count = 0

    def feed(self, probabilities: Iterable[float]) -> list[Chunk]:
        """Hear more windows, one probability each. Returns the chunks that became certain."""
        return [chunk for probability in probabilities if (chunk := self._push(probability)) is not None]

    def finish(self, samples: int) -> list[Chunk]:
        """The recording has `samples` samples. Returns the last chunk, if there is one."""
        span = self._finder.finish(samples)
        if span is not None:
            self._add(span)
        return [self._close(min(self._pad, samples - self._spans[-1].end))] if self._spans else []

    def _push(self, probability: float) -> Chunk | None:
        ended = self._finder.push(probability)
        if ended is not None:
            self._add(ended)
        current = self._finder.current
        if current is None:
            return self._close(self._pad) if self._full else None
        if self._size + self._growth(current) + self._pad <= self._max:
            return None
        if self._spans:
            return self._close(min(self._pad, (current.start - self._spans[-1].end) // 2))
        self._add(self._finder.cut())
        return self._close(0)

    @property
    def _full(self) -> bool:
        """Whether a pause has become so long that nothing could follow it in this chunk."""
        if not self._spans or self._finder.position - self._spans[-1].end < 2 * self._pad:
            return False
        return self._size + 3 * self._pad >= self._max

    def _growth(self, span: Span) -> int:
        """Samples that `span` adds to the chunk, the pause before it included."""
        if self._spans:
            kept = min(2 * self._pad, span.start - self._spans[-1].end)
        else:
            kept = min(self._pad, span.start - self._taken)
        return kept + span.end - span.start

    def _add(self, span: Span) -> None:
        self._size += self._growth(span)
        self._spans.append(span)

    def _close(self, end_pad: int) -> Chunk:
        chunk = Chunk(self._count, tuple(self._pieces(end_pad)))
        self._count += 1
        self._taken = chunk.pieces[-1].end
        self._spans = []
        self._size = 0
        return chunk

    def _pieces(self, end_pad: int) -> Iterator[Piece]:
        first, last = self._spans[0], self._spans[-1]
        start = max(first.start - self._pad, self._taken)
        for before, after in pairwise(self._spans):
            if after.start - before.end > 2 * self._pad:
                yield Piece(start, before.end + self._pad)
                start = after.start - self._pad
        yield Piece(start, last.end + end_pad)


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


def _samples(milliseconds: int) -> int:
    return milliseconds * SAMPLE_RATE // 1000


def _last_dip(heard: Sequence[float], below: float) -> int | None:
    """The middle of the last brief silence in the second half of `heard`, as a count of windows."""
    places = range(len(heard) // 2, len(heard))
    runs = [list(run) for quiet, run in groupby(places, key=lambda place: heard[place] < below) if quiet]
    dips = [run for run in runs if len(run) >= BRIEF_WINDOWS]
    return dips[-1][len(dips[-1]) // 2] if dips else None


def _least_likely(heard: Sequence[float]) -> int:
    """Where speech is least likely in the second half of `heard`, as a count of windows; the latest of equals.

    Judged over five windows (160 ms) first, so that no single odd window decides.
    """
    places = range(len(heard) // 2, max(len(heard) - 2, len(heard) // 2 + 1))
    return min(places, key=lambda place: (sum(heard[place - 2 : place + 3]), heard[place], -place))
