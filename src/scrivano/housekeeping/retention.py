"""Deletes jobs that ended long ago, uploads that have expired, and samples of voices that were left behind."""

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

# After the clock was set forward, nothing is deleted for this long. If that was an error, somebody has time to set the
# clock right; a deletion cannot be undone.
JUMP_HOLD_S = 3600.0

# The request that sent a sample of a voice deletes it. So long after its end it is still there only if the request, or
# its server, has ended first.
SAMPLE_KEPT = timedelta(minutes=5)

# Jobs or uploads deleted in one sweep. Each is a short transaction of its own, so that running jobs do not wait.
BATCH = 100


def forget(store: JobStore, blobs: Blobs, job_id: str) -> None:
    """Delete an ended job with its recording. Raises `JobNotFound`, `JobUnfinished`.

    The row is deleted first, so that the job cannot be started again without its recording. If the server crashes in
    between, the recording is deleted later.
    """
    store.purge(job_id)
    blobs.delete(job_id)


class Retention:
    """Deletes each ended job after `keep` (None: never), and each unfinished upload when it has expired."""

    def __init__(
        self,
        store: JobStore,
        outbox: Outbox,
        uploads: UploadStore,
        blobs: Blobs,
        keep: timedelta | None,
        now: Callable[[], datetime],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._outbox = outbox
        self._uploads = uploads
        self._blobs = blobs
        self._keep = keep
        self._now = now
        self._monotonic = monotonic
        self._clock_jumps = ClockJumps(now, monotonic)
        self._hold_until = 0.0
        self._samples_until: datetime | None = None

    async def run(self) -> None:
        """Sweep until cancelled."""
        while True:
            if await run_sync(self._try_sweep) < BATCH:
                await asyncio.sleep(INTERVAL_S)

    def sweep(self) -> int:
        """Delete uploads and jobs that are due, the oldest first, at most `BATCH` of each.

        Returns the larger of the two counts; if it is `BATCH`, more may be due. Deletes nothing for an hour after the
        wall clock jumped forward.
        """
        if (jump_s := self._clock_jumps.check()) > 0:
            logger.warning("the clock was set forward by %.0f s: nothing is deleted for an hour", jump_s)
            self._hold_until = self._monotonic() + JUMP_HOLD_S
        self._sweep_samples()
        if self._monotonic() < self._hold_until:
            return 0
        return max(self._sweep_uploads(), self._sweep_jobs())

    def _sweep_samples(self) -> None:
        """They are biometric data, and nobody waits for them any more: a wrong clock does not keep them."""
        before = self._now() - SAMPLE_KEPT
        for job_id in self._store.voice_samples(self._samples_until, before):
            with suppress(JobNotFound):
                forget(self._store, self._blobs, job_id)
        self._samples_until = before

    def _sweep_uploads(self) -> int:
        expired = self._uploads.expire(BATCH)
        unfinished = [upload.id for upload in expired if upload.job_id is None]
        for upload_id in unfinished:
            self._blobs.delete(upload_id)
        if unfinished:
            logger.info("unfinished uploads deleted", extra={"uploads": len(unfinished)})
        return len(expired)

    def _sweep_jobs(self) -> int:
        if self._keep is None:
            return 0
        deleted, before = 0, self._now() - self._keep
        self._outbox.purge(before)
        for job_id in self._store.expired(before, BATCH):
            with suppress(JobNotFound, JobUnfinished):  # Deleted or retried by a request in the meantime.
                forget(self._store, self._blobs, job_id)
                deleted += 1
        if deleted:
            logger.info("old jobs deleted", extra={"jobs": deleted})
        return deleted

    def _try_sweep(self) -> int:
        """A sweep that fails, for example on a full disk, is tried again: RETENTION_HOURS must hold afterwards, too."""
        try:
            return self.sweep()
        except Exception:
            logger.exception("could not delete old jobs; trying again in %.0f s", INTERVAL_S)
            return 0
