"""A chunk: the unit of work, of progress, of batching and of resuming."""

from __future__ import annotations

from dataclasses import dataclass

# Prepared audio: mono signed 16-bit little-endian at this rate, which Whisper takes.
SAMPLE_RATE = 16_000


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of prepared audio, `start <= sample < end`; sample 0 is the start of the uploaded file."""

    start: int
    end: int

    @property
    def seconds(self) -> float:
        return (self.end - self.start) / SAMPLE_RATE


@dataclass(frozen=True, slots=True)
class Chunk:
    """At most 30 s of audio, cut in silence.

    The audio of a chunk is its pieces joined. Pieces ascend and do not overlap; between two of them is silence.
    """

    index: int
    pieces: tuple[Piece, ...]

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
