"""Deletes this machine's copies of recordings that no job needs any more.

Whichever server ends or deletes a job empties the bucket and its own cache. The other servers find out here.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection
from typing import Protocol

from anyio.to_thread import run_sync

from scrivano.domain.errors import ScrivanoError

__all__ = ["LocalCopies"]

logger = logging.getLogger(__name__)

INTERVAL_S = 30.0

# A recording is here before the row of its job is.
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
        self._margin_s = margin_s
        self._monotonic = monotonic
        self._seen: dict[str, float] = {}

    async def run(self) -> None:
        """Sweep until cancelled."""
        while True:
            try:
                await run_sync(self.sweep)
            except (ScrivanoError, OSError) as error:
                logger.warning("copies of recordings that ended could not be looked for: %s", error)
            await asyncio.sleep(INTERVAL_S)

    def sweep(self) -> int:
        """Returns how many were deleted: those that were not needed for `margin_s`. Raises what `needed` does."""
        copies, now = self._blobs.copies(), self._monotonic()
        unneeded = set(copies).difference(self._needed(copies)) if copies else set()
        self._seen = {blob_id: self._seen.get(blob_id, now) for blob_id in unneeded}
        due = [blob_id for blob_id, since in self._seen.items() if now - since >= self._margin_s]
        for blob_id in due:
            self._blobs.drop_copy(blob_id)
        if due:
            logger.info("copies of recordings deleted that no job needs", extra={"recordings": len(due)})
        return len(due)
