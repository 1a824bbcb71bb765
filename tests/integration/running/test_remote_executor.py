"""A server whose jobs dispatchers run, and a dispatcher with scripted models."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest
from served import until

from scrivano.api.errors import http_status, problem_of
from scrivano.api.routes.jobs import waiting_for
from scrivano.domain.errors import NO_DISPATCHER, NoDispatcher
from scrivano.domain.job import Job, JobStatus, Task
from scrivano.files.folder_blobs import FolderBlobs
from scrivano.running.executor import Executor
from scrivano.running.model_exchange import ModelExchange
from scrivano.running.model_state import Life, ModelState
from scrivano.running.model_status import EngineStatus, ModelStatus
from scrivano.running.remote_executor import RemoteExecutor
from scrivano.store.dispatchers import DispatcherStore
from scrivano.store.jobs import JobStore
from scrivano.store.outbox import Outbox
from scrivano.store.sqlite import SqliteDatabase
from scrivano.store.wake_ups import WakeUps
from scrivano.submission.waiter import Waiter

READY = ModelStatus(
    Life(state=ModelState.READY, loaded_at=datetime(2026, 1, 31, tzinfo=UTC)),
    engines=[EngineStatus("10.0.0.1", ModelState.READY)],
)


def now() -> datetime:
    return datetime.now(UTC)


@dataclass
class Models:
    """The models of a dispatcher; it loads at once."""

    models: Mapping[str, ModelStatus] = field(default_factory=lambda: {"nano": ModelStatus(Life())})
    asked: list[tuple[str, str | None]] = field(default_factory=list)

    def load(self, model: str | None = None) -> None:
        self.asked.append(("load", model))
        self.models = {"nano": READY}

    def unload(self, model: str | None = None) -> None:
        self.asked.append(("unload", model))
        self.models = {"nano": ModelStatus(Life())}


@dataclass
class Bench:
    store: JobStore
    dispatchers: DispatcherStore
    blobs: FolderBlobs
    server: RemoteExecutor
    events: list[str]

    @contextmanager
    def dispatcher(self) -> Iterator[Models]:
        models = Models()
        exchange = ModelExchange(self.dispatchers, cast("Executor", models))
        exchange.start()
        try:
            yield models
        finally:
            exchange.stop()

    def state(self) -> ModelState:
        self.server.look_at_models()
        return self.server.model.life.state


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with closing(SqliteDatabase.open(tmp_path / "scrivano.db")) as database:
        events: list[str] = []

        def publish(type: str, data: Mapping[str, Any]) -> None:
            events.append(type)

        store, blobs = JobStore(database, Outbox(database, now), now), FolderBlobs(tmp_path)
        dispatchers = DispatcherStore(database, now, lambda: None)
        server = RemoteExecutor(["nano", "tiny"], store, dispatchers, blobs, publish, keep_audio=False)
        server.start()
        yield Bench(store, dispatchers, blobs, server, events)
        server.stop()
        assert not server.alive


def test_without_a_dispatcher_the_server_says_so(bench: Bench) -> None:
    assert bench.server.model.life.state is ModelState.UNLOADED
    assert "scrivano dispatcher" in (bench.server.models["tiny"].life.last_error or "")


def test_a_load_and_an_unload_reach_the_dispatchers(bench: Bench) -> None:
    with bench.dispatcher() as first, bench.dispatcher() as second:
        until(lambda: len(bench.dispatchers.reports()) == 2)
        bench.server.load()
        bench.server.load()  # every refused upload asks for it
        until(lambda: bench.state() is ModelState.READY)
        until(lambda: len(bench.server.model.engines) == 2)

        bench.server.unload("nano")
        until(lambda: bench.state() is ModelState.UNLOADED)
        assert first.asked == second.asked == [("load", None), ("unload", "nano")]
    assert bench.events == ["model_ready", "model_unloaded"]
    assert bench.dispatchers.reports() == []


def test_the_recording_of_a_job_that_was_cancelled_before_it_ran_is_deleted(bench: Bench) -> None:
    for job_id in ("cancelled", "waiting"):
        with bench.blobs.create(job_id) as blob:
            blob.write(b"recording")
            blob.commit()
        job = Job(id=job_id, status=JobStatus.QUEUED, task=Task.TRANSCRIBE, created_at=now())
        bench.store.add_job(job, audio_sha256="ab" * 32, audio_bytes=9)
    bench.store.cancel("cancelled")

    for job_id in ("cancelled", "waiting"):
        bench.server.cancel(job_id)

    until(lambda: list(bench.blobs.stored()) == ["waiting"])


def test_a_call_does_not_wait_for_a_dispatcher_for_ever(bench: Bench) -> None:
    job = Job(id="a", status=JobStatus.QUEUED, task=Task.TRANSCRIBE, created_at=now())
    bench.store.add_job(job, audio_sha256="ab" * 32, audio_bytes=9)
    calls = Waiter(store=bench.store, executor=bench.server, wake_ups=WakeUps(), gpu_wait_s=0.2, check_interval_s=0.05)

    waits = waiting_for(job, bench.server)
    assert (waits and waits.state, waits and waits.last_error) == (ModelState.UNLOADED, NO_DISPATCHER)
    with pytest.raises(NoDispatcher, match=r"no dispatcher runs: .*the job stays queued") as refused:
        asyncio.run(calls.transcript("a"))

    assert http_status(refused.value) == 503
    assert problem_of(refused.value).headers["X-Job-Id"] == "a"
    assert bench.store.get_job("a").status is JobStatus.QUEUED


def test_a_call_waits_where_a_dispatcher_runs(bench: Bench) -> None:
    with bench.dispatcher():
        until(lambda: len(bench.dispatchers.reports()) == 1)
        bench.state()
        until(lambda: bench.server.model.life.unserved_since is None)
    until(lambda: bench.state() is ModelState.UNLOADED and bench.server.model.life.unserved_since is not None)
