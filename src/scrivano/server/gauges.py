"""The gauges that are read at each scrape of the metrics: queues, models, memory, disk, the work of a runner."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from scrivano.domain.job import JobStatus, Priority
from scrivano.engines.gpu_memory import MEGABYTE, GpuMemory, MemoryReader
from scrivano.files.disk_space import free_bytes
from scrivano.running.executor import Executor
from scrivano.running.model_state import ModelState
from scrivano.running.runner import Runner
from scrivano.store.jobs import JobStore
from scrivano.store.outbox import Outbox
from scrivano.telemetry.metrics import MetricGauge, Sample

__all__ = ["gauges", "runner_gauges"]


def gauges(
    store: JobStore, outbox: Outbox, executor: Executor, memory: MemoryReader, gpus: Sequence[int], data_dir: Path
) -> list[MetricGauge]:
    """Of a server. `gpus`: the indices of the GPUs that the engines use."""

    def jobs() -> Iterator[Sample]:
        counts = store.count_unfinished()
        for status in (JobStatus.QUEUED, JobStatus.RUNNING):
            for priority in Priority:
                yield (status.value, priority.value), counts.get((status, priority), 0)

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
                yield (str(index),), sum(by_pid.get(pid, 0) for pid in executor.pids) * MEGABYTE

    def webhooks() -> Iterator[Sample]:
        yield (), outbox.count_pending()

    return [
        MetricGauge("scrivano_jobs", "Unfinished jobs, by state and priority.", ["state", "priority"], jobs),
        *_executor_gauges(executor, data_dir),
        *(_workload_gauges(executor) if isinstance(executor, Runner) else ()),
        MetricGauge("scrivano_webhooks_pending", "Webhook deliveries that are not finished.", [], webhooks),
        MetricGauge("scrivano_gpu_memory_total_bytes", "Memory of a GPU.", ["gpu"], gpu(lambda gpu: gpu.total_mb)),
        MetricGauge("scrivano_gpu_memory_used_bytes", "Used memory of a GPU.", ["gpu"], gpu(lambda gpu: gpu.used_mb)),
        MetricGauge("scrivano_gpu_memory_free_bytes", "Free memory of a GPU.", ["gpu"], gpu(lambda gpu: gpu.free_mb)),
        MetricGauge("scrivano_gpu_memory_own_bytes", "Memory that the engines use.", ["gpu"], own_gpu_memory),
    ]


def runner_gauges(runner: Runner, data_dir: Path) -> list[MetricGauge]:
    """Of a dispatcher. What all share who use its database is in the gauges of the servers."""
    return [*_executor_gauges(runner, data_dir), *_workload_gauges(runner)]


def _executor_gauges(executor: Executor, data_dir: Path) -> list[MetricGauge]:
    def models() -> Iterator[Sample]:
        for name, model in executor.models.items():
            for state in ModelState:
                yield (name, state.value), model.life.state is state

    def disk() -> Iterator[Sample]:
        yield (), free_bytes(data_dir)

    return [
        MetricGauge("scrivano_model_state", "1 for a model's current state, else 0.", ["model", "state"], models),
        MetricGauge("scrivano_runner_up", "1 while the runner works.", [], lambda: [((), executor.alive)]),
        MetricGauge("scrivano_disk_free_bytes", "Free bytes on the disk of DATA_DIR.", [], disk),
    ]


def _workload_gauges(runner: Runner) -> list[MetricGauge]:
    def engines() -> Iterator[Sample]:
        counts = runner.workload.engines
        for name in runner.models:
            for state in ModelState:
                if state is not ModelState.UNLOADED:
                    yield (name, state.value), counts.get((name, state), 0)

    def waiting() -> Iterator[Sample]:
        for name, count in runner.workload.waiting_chunks.items():
            yield (name,), count

    def children() -> Iterator[Sample]:
        yield ("media",), runner.workload.media_children
        yield ("speakers",), runner.workload.speakers_children

    return [
        MetricGauge("scrivano_open_jobs", "Jobs that this process works on.", [], lambda: [((), runner.workload.jobs)]),
        MetricGauge("scrivano_waiting_chunks", "Chunks that wait for an engine.", ["model"], waiting),
        MetricGauge("scrivano_engines", "Engines, by state.", ["model", "state"], engines),
        MetricGauge("scrivano_children", "Children at work that are not engines, by kind.", ["kind"], children),
    ]
