"""Speech probabilities → spans of speech → chunks cut in silence. Pure and streaming.

The same probabilities give the same chunks, in blocks of any size: a job that resumes relies on it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

from scrivano.domain.chunk import SAMPLE_RATE, Chunk, Piece

# Samples per speech probability (32 ms): what Silero VAD hears at once.
WINDOW = 512

# A dip of so many windows (about 100 ms, as in Silero) is a good place to cut speech that never pauses.
BRIEF_WINDOWS = 3


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
