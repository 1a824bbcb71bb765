"""Deletes recordings that belong to no job.

A server that is killed between a recording and its row, or before a deletion, leaves one.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterable
from typing import Protocol

from scrivano.housekeeping.unneeded import Unneeded, sweep_forever

__all__ = ["Orphans"]

logger = logging.getLogger(__name__)

INTERVAL_S = 1800.0

# A recording is stored before its row, and another server may be at that. One that has no row after so long gets none.
MARGIN_S = 3600.0

# Kills leave single orphans. If there are more, and they are most of all recordings, another database uses the place.
TOO_MANY = 20


class Stored(Protocol):
    """As in `Blobs`."""

    def stored(self) -> Iterable[str]: ...
    def delete(self, blob_id: str, /) -> None: ...


class Orphans:
    """`needed`: the ids of the recordings that belong to jobs and unfinished uploads.

    `guarded`: nothing is deleted if most of it would be. What can be made again needs no such guard.
    """

    def __init__(
        self,
        blobs: Stored,
        needed: Callable[[], Collection[str]],
        margin_s: float = MARGIN_S,
        monotonic: Callable[[], float] = time.monotonic,
        *,
        guarded: bool = True,
    ) -> None:
        self._guarded = guarded
        self._blobs = blobs
        self._needed = needed
        self._unneeded = Unneeded(margin_s, monotonic)

    async def run(self) -> None:
        """Sweep until cancelled."""
        await sweep_forever(self.sweep, INTERVAL_S, "recordings without a job")

    def sweep(self) -> int:
        """Returns how many were deleted. Raises what `Blobs.stored` and `needed` do."""
        stored = set(self._blobs.stored())  # first: the row of a recording that is stored from here on is not missed
        due = self._unneeded.due(stored.difference(self._needed()))
        if self._guarded and len(due) > TOO_MANY and len(due) > len(stored) / 2:
            logger.error(
                "%d of %d recordings belong to no job of this database, and nothing is deleted: give each database a"
                " prefix of its own (BLOB_URL)",
                len(due),
                len(stored),
            )
            return 0
        for blob_id in due:
            self._blobs.delete(blob_id)
        if due:
            logger.info("recordings without a job deleted", extra={"recordings": len(due)})
        return len(due)
