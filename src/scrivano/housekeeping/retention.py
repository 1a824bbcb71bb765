"""Forgets ended jobs that were kept long enough."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta

from anyio.to_thread import run_sync

from scrivano.domain.errors import JobNotFound, JobUnfinished
from scrivano.files.blobs import Blobs
from scrivano.housekeeping.clock_jumps import ClockJumps
from scrivano.store.jobs import JobStore
from scrivano.store.outbox import Outbox
from scrivano.store.uploads import UploadStore

__all__ = ["Retention", "forget"]

logger = logging.getLogger(__name__)

INTERVAL_S = 60.0
# Nothing is deleted for so long after the clock was set forward by more than a minute: what is deleted in error does
# not come back when the clock is set right again.
JUMP_HOLD_S = 3600.0

# Forgotten at once; each is a short transaction of its own, so that running jobs need not wait.
BATCH = 100


def forget(store: JobStore, blobs: Blobs, job_id: str) -> None:
    """Delete an ended job with all that belongs to it. Raises `JobNotFound`, `JobUnfinished`.

    The row goes first: from then on nobody can begin the job again. A file that a crash leaves behind goes when the
    server starts.
    """
    store.purge(job_id)
    blobs.delete(job_id)
    blobs.delete_prepared(job_id)


class Retention:
    """Keeps each ended job for `keep` (None: for ever), and each unfinished upload until its time is over."""

    def __init__(
        self,
        store: JobStore,
        outbox: Outbox,
        partials: UploadStore,
        blobs: Blobs,
        keep: timedelta | None,
        now: Callable[[], datetime],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._outbox = outbox
        self._partials = partials
        self._blobs = blobs
        self._keep = keep
        self._now = now
        self._monotonic = monotonic
        self._jumps = ClockJumps(now, monotonic)
        self._hold_until = 0.0

    async def run(self) -> None:
        """Sweep until cancelled."""
        while True:
            if await run_sync(self._sweep_safely) < BATCH:
                await asyncio.sleep(INTERVAL_S)

    def sweep(self) -> int:
        """Forget the uploads and jobs whose time is over, longest ended first, at most `BATCH` of each.

        Returns how many went of the one of which more went: with `BATCH`, there may be more.

        What was told of the model so long ago goes too. Nothing goes while the clock is not to be trusted.
        """
        return 0 if self._clock_jumped() else max(self._sweep_uploads(), self._sweep_jobs())

    def _clock_jumped(self) -> bool:
        """Forward, a short time ago."""
        if (jump_s := self._jumps.look()) > 0:
            logger.warning("the clock was set forward by %.0f s: nothing is deleted for an hour", jump_s)
            self._hold_until = self._monotonic() + JUMP_HOLD_S
        return self._monotonic() < self._hold_until

    def _sweep_uploads(self) -> int:
        over = self._partials.expire(BATCH)
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
        self._outbox.purge(before)
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
