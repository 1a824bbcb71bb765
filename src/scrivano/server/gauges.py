"""The gauges that are read at each scrape of the metrics: queues, models, memory, disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from shutil import disk_usage

from scrivano.domain.job import JobStatus, Priority
from scrivano.engines.gpu_memory import MEGABYTE, GpuMemory, MemoryReader
from scrivano.running.executor import Executor
from scrivano.running.model_state import ModelState
from scrivano.store.jobs import JobStore
from scrivano.store.outbox import Outbox
from scrivano.telemetry.metrics import MetricGauge, Sample

__all__ = ["gauges"]


def gauges(
    store: JobStore, outbox: Outbox, runner: Executor, memory: MemoryReader, gpus: Sequence[int], data_dir: Path
) -> list[MetricGauge]:
    """`gpus`: the indices of the GPUs that the engines use."""

    def jobs() -> Iterator[Sample]:
        counts = store.count_unfinished()
        for status in (JobStatus.QUEUED, JobStatus.RUNNING):
            for priority in Priority:
                yield (status.value, priority.value), counts.get((status, priority), 0)

    def models() -> Iterator[Sample]:
        for name, model in runner.models.items():
            for state in ModelState:
                yield (name, state.value), model.life.state is state

    def gpu(field: Callable[[GpuMemory], int]) -> Callable[[], Iterator[Sample]]:
        def read() -> Iterator[Sample]:
            for index in gpus:
                if (gpu_memory := memory.read(index)) is not None:
                    yield (str(index),), field(gpu_memory) * MEGABYTE

        return read

    def own_gpu_memory() -> Iterator[Sample]:
        for index in gpus:
            by_pid = memory.by_process(index)
            if by_pid:
                yield (str(index),), sum(by_pid.get(pid, 0) for pid in runner.pids) * MEGABYTE

    def disk() -> Iterator[Sample]:
        yield (), disk_usage(data_dir).free

    def webhooks() -> Iterator[Sample]:
        yield (), outbox.count_pending()

    return [
        MetricGauge("scrivano_jobs", "Unfinished jobs, by state and priority.", ["state", "priority"], jobs),
        MetricGauge("scrivano_model_state", "1 for a model's current state, else 0.", ["model", "state"], models),
        MetricGauge("scrivano_runner_up", "1 while the runner works.", [], lambda: [((), runner.alive)]),
        MetricGauge("scrivano_webhooks_pending", "Webhook deliveries that are not finished.", [], webhooks),
        MetricGauge("scrivano_disk_free_bytes", "Free bytes on the disk of DATA_DIR.", [], disk),
        MetricGauge("scrivano_gpu_memory_total_bytes", "Memory of a GPU.", ["gpu"], gpu(lambda gpu: gpu.total_mb)),
        MetricGauge("scrivano_gpu_memory_used_bytes", "Used memory of a GPU.", ["gpu"], gpu(lambda gpu: gpu.used_mb)),
        MetricGauge("scrivano_gpu_memory_free_bytes", "Free memory of a GPU.", ["gpu"], gpu(lambda gpu: gpu.free_mb)),
        MetricGauge("scrivano_gpu_memory_own_bytes", "Memory that the engines use.", ["gpu"], own_gpu_memory),
    ]
