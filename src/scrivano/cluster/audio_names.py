"""How parts of prepared audio are named, so that who asks for one finds it. Pure.

The dispatcher names prepared audio by a path that exists on no machine. A media child's node stores each chunk before
anyone hears of it and, where voices are looked for, all audio in blocks: from the start of a chunk to that of the next.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise

from scrivano.domain.chunk import SAMPLE_RATE

__all__ = ["BYTES_PER_SAMPLE", "PreparedAudio", "blocks"]

BYTES_PER_SAMPLE = 2

# Audio of one object, where it is not a chunk.
BLOCK_S = 60

_PATH = re.compile(r"(?:.*/)?(?P<job>[^/.]+)\.(?P<attempt>\d+)\.pcm(?:\.(?P<side>\d+))?")


@dataclass(frozen=True, slots=True)
class PreparedAudio:
    """The prepared audio of an attempt, or of one side of it."""

    job_id: str
    attempt: int
    side: int = 0

    @classmethod
    def of(cls, path: str) -> PreparedAudio:
        """Raises ValueError: the path is not one of `PreparedFiles`, with the side as in `side_path`."""
        found = _PATH.fullmatch(path)
        if found is None:
            raise ValueError(f"not the name of prepared audio: {path!r}")
        return cls(found["job"], int(found["attempt"]), int(found["side"] or 0))

    def chunk(self, start: int) -> str:
        """The object with the chunk that starts at this sample: its pieces joined."""
        return f"{self.attempt}.chunk.{self.side}.{start}"

    def block(self, start: int) -> str:
        """The object with the audio from this sample to the end of its block."""
        return f"{self.attempt}.block.{self.side}.{start}"


def blocks(start: int, end: int) -> list[tuple[int, int]]:
    """The blocks from one sample to another one: (start, end) of each."""
    edges = [*range(start, end, BLOCK_S * SAMPLE_RATE), end]
    return list(pairwise(edges))
