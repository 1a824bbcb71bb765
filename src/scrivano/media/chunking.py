"""Speech probabilities → spans of speech → chunks cut in silence. Pure and streaming.

The same probabilities give the same chunks, in blocks of any size. Jobs that resume rely on this.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise

from scrivano.domain.chunk import SAMPLE_RATE, Chunk, Piece

# Samples per speech probability (32 ms): the input size of Silero VAD.
WINDOW = 512

# Windows of low probability (about 100 ms, as in Silero) that make a good place to cut speech without pauses.
BRIEF_WINDOWS = 3


@dataclass(frozen=True, slots=True)
class Span:
    """Detected speech, `start <= sample < end`, without padding."""

    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkingOptions:
    """Speech starts at `threshold` and ends below `neg_threshold` (Silero's hysteresis and defaults).

    - `min_silence_ms`: shorter silence does not end a span. 300 ms is a pause between phrases; the closure of a stop
      consonant lasts at most half of that, so no cut falls inside a word.
    - `min_speech_ms`: spans up to this length are clicks; the shortest "yes" is longer.
    - `pad_ms`: silence to keep on both sides of a span, or half of the pause if that is less. Silero crosses its
      threshold up to 200 ms after a soft onset ("f", "h"), hence 500; with 300, 4.8 % of the words of held-out speech
      were wrong instead of 3.7 %. Within a chunk, a pause of up to twice this length is kept whole, and the middle of a
      longer pause is removed.
    - `max_chunk_secs`: the model's window.
    """

    threshold: float = 0.5
    neg_threshold: float = 0.35
    min_silence_ms: int = 300
    min_speech_ms: int = 96
    pad_ms: int = 500
    max_chunk_secs: float = 30.0


class SpanFinder:
    """Speech probabilities → spans, by the rules of Silero's `get_speech_timestamps`."""

    def __init__(self, options: ChunkingOptions) -> None:
        self._threshold = options.threshold
        self._neg_threshold = options.neg_threshold
        self._min_silence = _samples(options.min_silence_ms)
        self._min_speech = _samples(options.min_speech_ms)
        self._position = 0
        self._start: int | None = None
        self._quiet_since: int | None = None
        self._probabilities: list[float] = []
        self._continued = False

    def push(self, probability: float) -> Span | None:
        """Add the probability of the next window. Returns the span that it ended, if any."""
        at = self._position
        self._position += WINDOW
        if self._start is None:
            if probability >= self._threshold:
                self._start = at
                self._probabilities = [probability]
            return None
        self._probabilities.append(probability)
        if probability >= self._threshold:
            self._quiet_since = None
        elif probability < self._neg_threshold:
            self._quiet_since = at if self._quiet_since is None else self._quiet_since
            if at - self._quiet_since >= self._min_silence:
                return self._end()
        return None

    @property
    def position(self) -> int:
        """Samples so far."""
        return self._position

    @property
    def current(self) -> Span | None:
        """The open span, up to where it is certain to be speech."""
        if self._start is None:
            return None
        span = Span(self._start, self._position if self._quiet_since is None else self._quiet_since)
        # The rest of a span that was cut is speech, even if it is short.
        long_enough = self._continued or span.end - span.start > self._min_speech
        return span if long_enough else None

    def cut(self) -> Span:
        """End the open span in its second half; the rest stays open.

        The cut is in the middle of the last brief silence there, otherwise where speech is least likely.
        """
        assert self._start is not None
        place = _last_dip(self._probabilities, self._neg_threshold) or _least_likely(self._probabilities)
        span = Span(self._start, self._start + place * WINDOW)
        self._start = span.end
        self._probabilities = self._probabilities[place:]
        self._continued = True
        return span

    def finish(self, samples: int) -> Span | None:
        """The recording has `samples` samples. Returns the open span, if any."""
        self._position = samples
        return None if self._start is None else self._end()

    def _end(self) -> Span | None:
        span = self.current
        self._start = self._quiet_since = None
        self._continued = False
        return span


class Chunker:
    """Speech probabilities → chunks, each as soon as later probabilities cannot change it.

    Consecutive spans share a chunk as long as they fit. Speech is cut only if a single span is too long.
    """

    def __init__(self, options: ChunkingOptions | None = None) -> None:
        options = options or ChunkingOptions()
        self._finder = SpanFinder(options)
        self._pad = _samples(options.pad_ms)
        self._max = round(options.max_chunk_secs * SAMPLE_RATE)
        self._spans: list[Span] = []
        self._size = 0
        self._used_up_to = 0
        self._count = 0

    def feed(self, probabilities: Iterable[float]) -> list[Chunk]:
        """Add the probabilities of the next windows. Returns the chunks that became certain."""
        return [chunk for probability in probabilities if (chunk := self._push(probability)) is not None]

    def finish(self, samples: int) -> list[Chunk]:
        """The recording has `samples` samples. Returns the last chunk, if any."""
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
        """Whether the pause is so long that no further span could fit into the chunk after it."""
        if not self._spans or self._finder.position - self._spans[-1].end < 2 * self._pad:
            return False
        return self._size + 3 * self._pad >= self._max

    def _growth(self, span: Span) -> int:
        """Samples that `span` adds to the chunk, including the pause before it."""
        if self._spans:
            kept = min(2 * self._pad, span.start - self._spans[-1].end)
        else:
            kept = min(self._pad, span.start - self._used_up_to)
        return kept + span.end - span.start

    def _add(self, span: Span) -> None:
        self._size += self._growth(span)
        self._spans.append(span)

    def _close(self, end_pad: int) -> Chunk:
        chunk = Chunk(self._count, tuple(self._pieces(end_pad)))
        self._count += 1
        self._used_up_to = chunk.pieces[-1].end
        self._spans = []
        self._size = 0
        return chunk

    def _pieces(self, end_pad: int) -> Iterator[Piece]:
        first, last = self._spans[0], self._spans[-1]
        start = max(first.start - self._pad, self._used_up_to)
        for before, after in pairwise(self._spans):
            if after.start - before.end > 2 * self._pad:
                yield Piece(start, before.end + self._pad)
                start = after.start - self._pad
        yield Piece(start, last.end + end_pad)


class SpeechLog:
    """Remembers detected speech until the chunk that it lies in is cut.

    Chunks may be cut by other values than the probabilities of speech, and through speech.
    """

    def __init__(self) -> None:
        self._finder = SpanFinder(ChunkingOptions())
        self._spans: list[Span] = []

    def feed(self, probabilities: Iterable[float]) -> None:
        """Add the probabilities of speech in the next windows."""
        self._spans += [span for one in probabilities if (span := self._finder.push(one)) is not None]

    def finish(self, samples: int) -> None:
        """The recording has `samples` samples."""
        if (span := self._finder.finish(samples)) is not None:
            self._spans.append(span)

    def mark(self, chunk: Chunk) -> Chunk:
        """The chunk with the speech in it. Chunks come in order."""
        current = self._finder.current
        spans = [*self._spans, *([current] if current else [])]
        speech = tuple(
            Piece(max(span.start, piece.start), min(span.end, piece.end))
            for piece in chunk.pieces
            for span in spans
            if span.start < piece.end and piece.start < span.end
        )
        self._spans = [span for span in self._spans if span.end > chunk.pieces[-1].end]
        return replace(chunk, speech=speech)


def _samples(milliseconds: int) -> int:
    return milliseconds * SAMPLE_RATE // 1000


def _last_dip(probabilities: Sequence[float], below: float) -> int | None:
    """The middle of the last brief silence in the second half of a span, as a number of windows."""
    places = range(len(probabilities) // 2, len(probabilities))
    runs = [list(run) for quiet, run in groupby(places, key=lambda place: probabilities[place] < below) if quiet]
    dips = [run for run in runs if len(run) >= BRIEF_WINDOWS]
    return dips[-1][len(dips[-1]) // 2] if dips else None


def _least_likely(probabilities: Sequence[float]) -> int:
    """Where speech is least likely in the second half of a span, as a number of windows; the latest of equal places.

    Compares sums over five windows (160 ms), so that a single outlier does not decide.
    """
    places = range(len(probabilities) // 2, max(len(probabilities) - 2, len(probabilities) // 2 + 1))
    return min(places, key=lambda place: (sum(probabilities[place - 2 : place + 3]), probabilities[place], -place))
