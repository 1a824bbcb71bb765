"""Deletes this machine's copies of recordings that no job needs any more.

Whichever server ends or deletes a job empties the bucket and its own cache. The other servers find out here.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection
from typing import Protocol

from scrivano.housekeeping.unneeded import Unneeded, sweep_forever

__all__ = ["LocalCopies"]

logger = logging.getLogger(__name__)

INTERVAL_S = 30.0
MARGIN_S = 30.0


class Copies(Protocol):
    """As in `Blobs`."""

    def copies(self) -> Collection[str]: ...
    def drop_copy(self, blob_id: str, /) -> None: ...


class LocalCopies:
    """`needed`: those of the given ids that belong to a job that keeps its recording, or to an unfinished upload."""

    def __init__(
        self,
        blobs: Copies,
        needed: Callable[[Collection[str]], Collection[str]],
        margin_s: float = MARGIN_S,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._blobs = blobs
        self._needed = needed
        self._unneeded = Unneeded(margin_s, monotonic)

    async def run(self) -> None:
        """Sweep until cancelled."""
        await sweep_forever(self.sweep, INTERVAL_S, "copies of recordings that no job needs")

    def sweep(self) -> int:
        """Returns how many were deleted: those that were not needed for `margin_s`. Raises what `needed` does."""
        copies = self._blobs.copies()
        due = self._unneeded.due(set(copies).difference(self._needed(copies)) if copies else ())
        for blob_id in due:
            self._blobs.drop_copy(blob_id)
        if due:
            logger.info("copies of recordings deleted that no job needs", extra={"recordings": len(due)})
        return len(due)
