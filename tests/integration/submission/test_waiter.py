"""Waiting for a job whose model does not come."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, cast

import pytest
from runner_bench import bench

from scrivano.domain.errors import ModelLacksMemory
from scrivano.domain.job import JobStatus
from scrivano.running.executor import Executor
from scrivano.running.model_state import Life, ModelState, Policy
from scrivano.running.model_status import ModelStatus
from scrivano.store.jobs import JobStore
from scrivano.store.wake_ups import WakeUps
from scrivano.submission.waiter import Waiter


def test_a_call_does_not_wait_for_memory_for_ever(tmp_path: Path) -> None:
    with bench(tmp_path, free_mb=512, options={"policy": Policy(poll_interval_s=0.2)}) as it:
        job_id = it.submit()
        calls = Waiter(store=it.store, executor=it.runner, wake_ups=WakeUps(), gpu_wait_s=0.5, check_interval_s=0.05)
        with pytest.raises(ModelLacksMemory, match="4000 MB, and 512 MB are free; the job stays queued"):
            asyncio.run(calls.transcript(job_id))

        assert it.store.get_job(job_id).status is JobStatus.QUEUED
        it.memory.free_mb = 8000
        assert it.ended(job_id).status is JobStatus.DONE


class Crowded:
    """An executor in whose cluster no node has room for an engine."""

    alive = True
    models: ClassVar[Mapping[str, ModelStatus]] = {
        "base": ModelStatus(Life(state=ModelState.WAITING_FOR_GPU, lacking_since=0.0, queued=True))
    }

    def load(self, model: str | None = None) -> None:
        return None


def test_a_call_that_waits_for_a_place_in_a_cluster_says_so() -> None:
    crowded = cast(Executor, Crowded())
    calls = Waiter(
        store=cast(JobStore, None), executor=crowded, wake_ups=WakeUps(), gpu_wait_s=0.0, check_interval_s=0.05
    )

    with pytest.raises(ModelLacksMemory, match="a node with room for an engine"):
        asyncio.run(calls.load_model(None))
