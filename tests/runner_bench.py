"""A runner with a real store, real files and scripted child processes."""

from __future__ import annotations

import json
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from built import NoGpu
from served import until

from scrivano.domain.job import Job, JobStatus, Task
from scrivano.engines.gpu_memory import GpuMemory
from scrivano.files.disk_space import DiskSpace
from scrivano.files.folder_blobs import FolderBlobs
from scrivano.files.prepared import PreparedFiles
from scrivano.running.children import LocalChildren
from scrivano.running.engine_pool import PoolOptions
from scrivano.running.engine_slot import ModelSpec
from scrivano.running.job_choices import JobDefaults
from scrivano.running.job_runs import JobRunOptions
from scrivano.running.model_state import Life, ModelState, Policy
from scrivano.running.runner import Runner, RunnerOptions
from scrivano.store.jobs import JobStore
from scrivano.store.outbox import Outbox
from scrivano.store.sqlite import SqliteDatabase

CHILDREN = Path(__file__).parent / "children"
SECOND = 16_000
THREE = [[0, 20 * SECOND], [20 * SECOND, 40 * SECOND], [40 * SECOND, 60 * SECOND]]


def now() -> datetime:
    return datetime.now(UTC)


class ScriptedMemory(NoGpu):
    """A GPU whose free memory a test sets, or computes whenever it is read."""

    def __init__(self, free_mb: int) -> None:
        self.free_mb: int | Callable[[], int] = free_mb

    def read(self, index: int) -> GpuMemory | None:
        free_mb = self.free_mb() if callable(self.free_mb) else self.free_mb
        return GpuMemory(name="scripted", total_mb=8000, used_mb=8000 - free_mb, free_mb=free_mb)


@dataclass
class Bench:
    store: JobStore
    blobs: FolderBlobs
    runner: Runner
    folder: Path
    memory: ScriptedMemory
    announced: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)

    def submit(
        self, chunks: list[list[int]] = THREE, *, options: Mapping[str, Any] | None = None, **orders: object
    ) -> str:
        job_id = str(uuid.uuid4())
        with self.blobs.create(job_id) as writer:
            writer.write(json.dumps({"chunks": chunks, **orders}).encode())
            blob = writer.commit()
        job = Job(
            id=job_id,
            status=JobStatus.QUEUED,
            task=Task.TRANSCRIBE,
            created_at=now(),
            options=options or {},
        )
        self.store.add_job(job, audio_sha256=blob.sha256, audio_bytes=blob.size_bytes)
        self.runner.submit(job)
        return job_id

    def ended(self, job_id: str) -> Job:
        until(lambda: self.store.get_job(job_id).status.terminal)
        return self.store.get_job(job_id)

    def planned(self, job_id: str) -> None:
        """Wait until all chunks of the job are known."""
        until(lambda: self.store.get_job(job_id).chunks_total is not None)

    def tell(self) -> None:
        """What was ordered to wait until it is `told` goes on."""
        (self.folder / "told").touch()

    def let_time_pass(self) -> None:
        """What the engines work on now is past its deadline. So no test waits for one that a busy machine misses."""
        self.runner._post(partial(self.runner._pool.postpone, -3600.0))

    def texts(self, job_id: str) -> list[str]:
        return [segment["text"] for segment in json.loads(self.store.get_result(job_id) or b"[]")]

    def segment_events(self, job_id: str) -> list[tuple[str, float, float]]:
        """The job's `segment` events: text, start and end."""
        log = [event.data for event in self.store.events_after(job_id, 0) if event.type == "segment"]
        return [(data["text"], data["start"], data["end"]) for data in log]

    @property
    def state(self) -> ModelState:
        return self.runner.model.life.state

    def waiting(self) -> Life | None:
        """The model's state if it waits for memory. Read once, because it may change at any moment."""
        life = self.runner.model.life
        return life if life.state is ModelState.WAITING_FOR_GPU else None

    @property
    def batches(self) -> list[list[dict[str, Any]]]:
        """Those that engines have begun."""
        file = self.folder / "batches"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


TEXTS = ["from 0", f"from {20 * SECOND}", f"from {40 * SECOND}"]


@contextmanager
def bench(
    folder: Path,
    *,
    options: Mapping[str, Any] | None = None,
    free_mb: int = 8000,
    store_type: type[JobStore] = JobStore,
    blobs_type: type[FolderBlobs] = FolderBlobs,
    disk_space: DiskSpace | None = None,
    **orders: object,
) -> Iterator[Bench]:
    database = SqliteDatabase.open(folder / "scrivano.db")
    store = store_type(database, Outbox(database, now), now)
    blobs, memory = blobs_type(folder, disk_space=disk_space), ScriptedMemory(free_mb)
    announced = list[tuple[str, Mapping[str, Any]]]()
    changes = dict(options or {})
    spec = ModelSpec(
        name="usual", policy=changes.pop("policy", Policy(poll_interval_s=0.2, unload_hold_s=0.2)), needed_mb=4000
    )
    batch_size = changes.pop("batch_size", spec.batch_size)
    pool = PoolOptions(
        models=[replace(one, batch_size=batch_size) for one in changes.pop("models", [spec])],
        gpus=[0],
    )
    pool_names = ("limits", "in_flight", "urgent_slot", "gpus", "engines", "unload_grace_s")
    pool_changes = {name: changes.pop(name) for name in pool_names if name in changes}
    default_names = ("decoding", "speakers")
    job_defaults = JobDefaults(**{name: changes.pop(name) for name in default_names if name in changes})
    job_names = ("jobs_open", "keep_audio", "put_off_s")
    job_changes = {name: changes.pop(name) for name in job_names if name in changes}
    defaults = RunnerOptions(
        pool=replace(pool, **pool_changes),
        jobs=JobRunOptions(defaults=job_defaults, **job_changes),
        drain_s=0.2,
    )
    children = LocalChildren(
        media=[sys.executable, str(CHILDREN / "media.py")],
        engine=[sys.executable, str(CHILDREN / "engine.py"), str(folder), json.dumps(orders)],
        speakers=[sys.executable, str(CHILDREN / "speakers.py"), str(folder)],
        environment={},
    )
    runner = Runner(
        store,
        blobs,
        PreparedFiles(folder, disk_space),
        children,
        memory,
        lambda type, data: announced.append((type, data)),
        now,
        replace(defaults, **changes),
    )
    runner.take_up()
    runner.start()
    try:
        yield Bench(store, blobs, runner, folder, memory, announced)
    finally:
        runner.stop()
        database.close()
