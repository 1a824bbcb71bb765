"""A chunk: the unit of work, of progress, of batching and of resuming."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import accumulate

from scrivano.domain.coverage import Span

# Prepared audio: mono signed 16-bit little-endian at this rate, which Whisper takes.
SAMPLE_RATE = 16_000

# The model's window.
GUESSED_FROM_S = 30.0


def side_path(path: str, side: int | None) -> str:
    """Where the prepared audio of a side is; `path`: that of the first one, or of all."""
    return f"{path}.{side}" if side else path


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of prepared audio, `start <= sample < end`; sample 0 is the start of the uploaded file."""

    start: int
    end: int

    @property
    def seconds(self) -> float:
        return (self.end - self.start) / SAMPLE_RATE


def speechless_start(duration: float) -> Piece:
    """Of a recording without speech, of so many seconds: what is decoded all the same if its language is asked for."""
    return Piece(0, round(min(duration, GUESSED_FROM_S) * SAMPLE_RATE))


@dataclass(frozen=True, slots=True)
class Chunk:
    """At most 30 s of audio, cut in silence.

    The audio of a chunk is its pieces joined. Pieces ascend and do not overlap; between two of them is silence.
    `speech`: where speech was detected in them. It is stored with the result only, so it is None for a chunk from the
    store until the recording is prepared again. `side`: the channel or track that it is of, if they are transcribed
    each for itself.
    """

    index: int
    pieces: tuple[Piece, ...]
    speech: tuple[Piece, ...] | None = field(default=None, compare=False)
    side: int | None = None

    @property
    def start(self) -> float:
        """Seconds from the start of the file."""
        return self.pieces[0].start / SAMPLE_RATE

    @property
    def end(self) -> float:
        """Seconds from the start of the file."""
        return self.pieces[-1].end / SAMPLE_RATE

    @property
    def seconds(self) -> float:
        """Seconds of audio to decode, without the silence between the pieces."""
        return sum(piece.seconds for piece in self.pieces)

    @property
    def speech_spans(self) -> tuple[Span, ...]:
        """Its speech, in seconds from the start of the file."""
        return tuple(Span(one.start / SAMPLE_RATE, one.end / SAMPLE_RATE) for one in self.speech or ())

    def speech_within(self) -> tuple[Span, ...]:
        """Its speech, in seconds from its first sample."""
        offsets = accumulate((piece.end - piece.start for piece in self.pieces), initial=0)
        shifts = [(piece, offset - piece.start) for piece, offset in zip(self.pieces, offsets, strict=False)]
        return tuple(
            Span((max(one.start, piece.start) + shift) / SAMPLE_RATE, (min(one.end, piece.end) + shift) / SAMPLE_RATE)
            for piece, shift in shifts
            for one in self.speech or ()
            if one.start < piece.end and piece.start < one.end
        )
