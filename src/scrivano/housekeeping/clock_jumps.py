"""Jumps of the wall clock, detected by comparing it with the monotonic clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime

__all__ = ["ClockJumps"]

# Smaller differences are ignored: time synchronisation makes small corrections, and on a busy machine the two clocks
# are not read at the same moment.
TOLERANCE_S = 60.0


class ClockJumps:
    """`now` is the wall clock. Sleep of the machine counts as a jump: on Linux the monotonic clock stops meanwhile."""

    def __init__(self, now: Callable[[], datetime], monotonic: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._monotonic = monotonic
        self._last = (now(), monotonic())

    def check(self) -> float:
        """Seconds that the wall clock jumped since the last check: positive forward, negative back, 0 for no jump."""
        (wall, steady), self._last = self._last, (self._now(), self._monotonic())
        jump_s = (self._last[0] - wall).total_seconds() - (self._last[1] - steady)
        return jump_s if abs(jump_s) > TOLERANCE_S else 0.0
