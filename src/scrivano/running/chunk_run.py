"""One chunk of a running job, and its result as the store keeps it. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from scrivano.domain.chunk import Chunk, Piece
from scrivano.domain.coverage import Span
from scrivano.domain.transcript import Segment
from scrivano.processes.messages import encoder, parser
from scrivano.running.language import Detection
from scrivano.text.assembly import ChunkText, chunk_text

__all__ = ["ChunkRun", "ResultCodec", "StoredResult"]


@dataclass(slots=True)
class ChunkRun:
    """`crashes`: engines that died over it. `text`: its clean text in file time; None: not decoded, or not known yet.

    The text depends on where speech was detected. So of a chunk from the store there is only the `result`, until the
    recording is prepared again and the chunk is cut with its speech.
    """

    chunk: Chunk
    crashes: int = 0
    result: StoredResult | None = None
    text: ChunkText | None = None

    @property
    def decoded(self) -> bool:
        return self.result is not None or self.text is not None

    def cut_as(self, chunk: Chunk) -> None:
        """`chunk`: this one, with its speech."""
        self.chunk = chunk
        if self.result is not None:
            self.text = chunk_text(chunk, self.result.segments, self.result.repaired)
            self.result = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredResult:
    """What the store keeps of a decoded chunk. Times of `segments` count from the first sample of the chunk.

    `language`: the one that it was decoded in. `detected`: what was ever detected in it; None: its language was given.
    `repaired`: speech that had no words until it was decoded again, in seconds from the first sample. `speech`: that of
    the chunk, by which its text is cleaned while the job runs; None: earlier versions did not store it.
    """

    language: str
    segments: tuple[Segment, ...]
    detected: Detection | None = None
    repaired: tuple[Span, ...] = ()
    speech: tuple[Piece, ...] | None = None


class ResultCodec:
    """Stored results as JSON, and back. Building one takes milliseconds."""

    def __init__(self) -> None:
        self.parse: Callable[[bytes], StoredResult] = parser(StoredResult)
        self.encode: Callable[[StoredResult], bytes] = encoder(StoredResult)
