"""How far the decoding of a job is, as its `progress` events say it. Pure: times are given."""

from __future__ import annotations

import math

from scrivano.domain.chunk import Chunk

__all__ = ["Progress"]

# At most two events a second and job.
INTERVAL_S = 0.5

# The share of the longest possible chunk that a chunk has on average: 0.71 to 0.89 in an hour of speech in four
# languages, with chunks of up to 19 and of up to 30 s.
FILLED = 0.8


class Progress:
    """Counts the chunks that are cut and done. `max_chunk_s`: the most audio of a chunk.

    What is not cut yet counts as speech, so that percent and counts are rather too low than too high.
    """

    def __init__(self, max_chunk_s: float) -> None:
        self.cut = self.done = 0
        self._typical_s = FILLED * max_chunk_s
        self._cut_s = self._done_s = 0.0
        # Seconds of the recording as its container claims; None: it does not say, or everything is cut.
        self._duration: float | None = None
        # The end of the last chunk of each side.
        self._cut_to = {0: 0.0}
        self._told_at = -math.inf

    def expect(self, duration: float | None, sides: int) -> None:
        """May be called again: for sides that are known now, or by a media child that was started again."""
        self._duration = duration
        self._cut_to = {side: self._cut_to.get(side, 0.0) for side in range(sides)}

    def add_cut(self, chunk: Chunk) -> None:
        self.cut += 1
        self._cut_s += chunk.seconds
        self._cut_to[chunk.side or 0] = chunk.end

    def add_done(self, chunk: Chunk) -> None:
        self.done += 1
        self._done_s += chunk.seconds

    def complete(self) -> None:
        """Everything is cut."""
        self._duration = None

    def due(self, now_s: float, *, last: bool) -> dict[str, int] | None:
        """The data of an event; None: the last one is too recent, and this is not the `last`."""
        if now_s - self._told_at < INTERVAL_S and not last:
            return None
        self._told_at = now_s
        uncut_s = self._uncut_s()
        total_s = self._cut_s + uncut_s
        return {
            "percent": min(100, int(100 * self._done_s / total_s)) if total_s else 0,
            "chunk": self.done,
            "chunks_total": self.cut + math.ceil(uncut_s / self._typical_s),
        }

    def _uncut_s(self) -> float:
        if self._duration is None:
            return 0.0
        return sum(max(0.0, self._duration - end) for end in self._cut_to.values())
