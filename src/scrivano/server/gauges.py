"""What is looked up at each scrape of the metrics: queues, models, memory, disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from shutil import disk_usage

from scrivano.domain.job import JobStatus, Priority
from scrivano.engines.gpu_memory import MEGABYTE, GpuMemory, MemoryReader
from scrivano.running.loop import Runner
from scrivano.running.model_state import ModelState
from scrivano.store.jobs import JobStore
from scrivano.store.outbox import Outbox
from scrivano.telemetry.metrics import Reading, Sample

__all__ = ["readings"]


def readings(
    store: JobStore, outbox: Outbox, runner: Runner, memory: MemoryReader, gpus: Sequence[int], data_dir: Path
) -> list[Reading]:
    """`gpus`: the indices of those that the engines use."""

    def jobs() -> Iterator[Sample]:
        counts = store.count_unfinished()
        for status in (JobStatus.QUEUED, JobStatus.RUNNING):
            for priority in Priority:
                yield (status.value, priority.value), counts.get((status, priority), 0)

    def models() -> Iterator[Sample]:
        for name, model in runner.models.items():
            for state in ModelState:
                yield (name, state.value), model.life.state is state

    def gpu(what: Callable[[GpuMemory], int]) -> Callable[[], Iterator[Sample]]:
        def look() -> Iterator[Sample]:
            for index in gpus:
                if (read := memory.read(index)) is not None:
                    yield (str(index),), what(read) * MEGABYTE

        return look

    def own() -> Iterator[Sample]:
        for index in gpus:
            held = memory.by_process(index)
            if held:
                yield (str(index),), sum(held.get(pid, 0) for pid in runner.pids) * MEGABYTE

    return [
        Reading("scrivano_jobs", "Jobs that wait and run.", ["state", "priority"], jobs),
        Reading("scrivano_model_state", "1 for the state in which a model is.", ["model", "state"], models),
        Reading("scrivano_runner_up", "1 while the runner lives.", [], lambda: [((), runner.alive)]),
        Reading("scrivano_webhooks_pending", "Deliveries to be made.", [], lambda: [((), outbox.count_pending())]),
        Reading("scrivano_disk_free_bytes", "Free on DATA_DIR's disk.", [], lambda: [((), disk_usage(data_dir).free)]),
        Reading("scrivano_gpu_memory_total_bytes", "A GPU's memory.", ["gpu"], gpu(lambda read: read.total_mb)),
        Reading("scrivano_gpu_memory_used_bytes", "Of it, in use.", ["gpu"], gpu(lambda read: read.used_mb)),
        Reading("scrivano_gpu_memory_free_bytes", "Of it, free.", ["gpu"], gpu(lambda read: read.free_mb)),
        Reading("scrivano_gpu_memory_own_bytes", "Of it, held by this server's engines.", ["gpu"], own),
    ]
