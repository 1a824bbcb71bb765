"""Reads every ten seconds what the server does and uses, for the history that a page draws."""

from __future__ import annotations

import asyncio
import logging
import os
from dataclasses import dataclass

from anyio.to_thread import run_sync

from scrivano.domain.job import JobStatus
from scrivano.engines.gpu_memory import MemoryReader
from scrivano.running.executor import Executor
from scrivano.store.jobs import JobStore
from scrivano.telemetry.history import INTERVAL_S, History, Reading, process_usage

__all__ = ["Sampling"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """`gpu`: the index of the GPU that is shown."""

    history: History
    store: JobStore
    executor: Executor
    memory: MemoryReader
    gpu: int

    async def run(self) -> None:
        """Sample until cancelled."""
        while True:
            await run_sync(self._sample)
            await asyncio.sleep(INTERVAL_S)

    def _sample(self) -> None:
        try:
            self.history.sample(self._read())
        except Exception:
            logger.exception("a sample of the history was left out")

    def _read(self) -> Reading:
        counts = self.store.count_unfinished()
        of = {status: sum(n for (one, _), n in counts.items() if one is status) for status in JobStatus}
        gpu = self.memory.read(self.gpu)
        return Reading(
            queued=of[JobStatus.QUEUED],
            running=of[JobStatus.RUNNING],
            usage=process_usage([os.getpid(), *self.executor.pids]),
            gpu_used_mb=None if gpu is None else gpu.used_mb,
        )
