"""Forgets ended jobs that were kept long enough."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta

from anyio.to_thread import run_sync

from scrivano.blobs import Blobs
from scrivano.errors import JobNotFound, JobUnfinished
from scrivano.store import Store

__all__ = ["Retention", "forget"]

logger = logging.getLogger(__name__)

INTERVAL_S = 60.0
BATCH = 100
"""Forgotten at once; each is a short transaction of its own, so that running jobs need not wait."""


def forget(store: Store, blobs: Blobs, job_id: str) -> None:
    """Delete an ended job with all that belongs to it. Raises `JobNotFound`, `JobUnfinished`.

    The row goes first: from then on nobody can begin the job again. A file that a crash leaves behind goes when the
    server starts.
    """
    store.purge(job_id)
    blobs.delete(job_id)
    blobs.delete_prepared(job_id)


class Retention:
    """Keeps each ended job for `keep` (None: for ever), and each unfinished upload until its time is over."""

    def __init__(self, store: Store, blobs: Blobs, keep: timedelta | None, now: Callable[[], datetime]) -> None:
        self._store = store
        self._blobs = blobs
        self._keep = keep
        self._now = now

    async def run(self) -> None:
        """Sweep until cancelled."""
        while True:
            if await run_sync(self._sweep_safely) < BATCH:
                await asyncio.sleep(INTERVAL_S)

    def sweep(self) -> int:
        """Forget the uploads and jobs whose time is over, longest ended first, at most `BATCH` of each.

        Returns how many went of the one of which more went: with `BATCH`, there may be more.

        What was told of the model so long ago goes too.
        """
        return max(self._sweep_uploads(), self._sweep_jobs())

    def _sweep_uploads(self) -> int:
        over = self._store.expire_uploads(BATCH)
        unfinished = [upload.id for upload in over if upload.job_id is None]
        for upload_id in unfinished:
            self._blobs.delete(upload_id)
        if unfinished:
            logger.info("unfinished uploads deleted", extra={"uploads": len(unfinished)})
        return len(over)

    def _sweep_jobs(self) -> int:
        if self._keep is None:
            return 0
        gone, before = 0, self._now() - self._keep
        self._store.purge_deliveries(before)
        for job_id in self._store.expired(before, BATCH):
            with suppress(JobNotFound, JobUnfinished):  # somebody was faster
                forget(self._store, self._blobs, job_id)
                gone += 1
        if gone:
            logger.info("old jobs deleted", extra={"jobs": gone})
        return gone

    def _sweep_safely(self) -> int:
        """What goes wrong today (a full disk, say) is tried again; the promise to forget must not end with it."""
        try:
            return self.sweep()
        except Exception:
            logger.exception("old jobs could not be deleted")
            return 0
