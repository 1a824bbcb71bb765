"""The wall clock's jumps, seen by the clock that never jumps."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime

__all__ = ["ClockJumps"]

# Smaller corrections (and what a busy machine adds between two looks) are none.
TOLERANCE_S = 60.0


class ClockJumps:
    """`now` is the wall clock. A machine that slept has jumped, too: its monotonic clock stood still (Linux)."""

    def __init__(self, now: Callable[[], datetime], monotonic: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._monotonic = monotonic
        self._seen = (now(), monotonic())

    def look(self) -> float:
        """Seconds by which the wall clock went on too far since the last look; negative where it was set back; or 0."""
        (wall, steady), self._seen = self._seen, (self._now(), self._monotonic())
        jump_s = (self._seen[0] - wall).total_seconds() - (self._seen[1] - steady)
        return jump_s if abs(jump_s) > TOLERANCE_S else 0.0
