"""When to load the model for an upload that is still arriving: as early as it helps, but not for a bad request.

A field that is refused may come behind the recording. So the end of a form is waited for if it comes soon.
"""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["EarlyLoad"]

# An upload that ends within this time gains little from a model that loads meanwhile.
SOON_S = 5.0


class EarlyLoad:
    """Calls `load` once, if the upload is long and its end is not near. `size_bytes` None: its end is unknown."""

    def __init__(
        self, size_bytes: int | None, load: Callable[[], None], now: Callable[[], float] = time.monotonic
    ) -> None:
        self._size_bytes = size_bytes
        self._load = load
        self._now = now
        self._started_at = now()
        self._received_bytes = 0
        self._is_long = False
        self._is_done = False

    def receive(self, size_bytes: int) -> None:
        """So many bytes have arrived and are parsed."""
        self._received_bytes += size_bytes
        self._check()

    def announce_long(self) -> None:
        """The recording has started, and is large or slow."""
        self._is_long = True
        self._check()

    def _check(self) -> None:
        if self._is_long and not self._is_done and not self._ends_soon():
            self._is_done = True
            self._load()

    def _ends_soon(self) -> bool:
        """Judged by the rate so far."""
        if self._size_bytes is None:
            return False
        elapsed_s = self._now() - self._started_at
        left_bytes = self._size_bytes - self._received_bytes
        return elapsed_s < SOON_S and left_bytes * elapsed_s < SOON_S * self._received_bytes
