"""Random sequences of calls, on the store and on a model of it in plain Python."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import bindparam, text, update
from store_support import Clock, add, new_job, plan

from scrivano.domain.chunk import Chunk
from scrivano.domain.errors import JobNotRetriable, JobTerminal, JobUnfinished
from scrivano.domain.job import JobStatus
from scrivano.domain.job_event import JobEvent
from scrivano.store import job_rows, tables
from scrivano.store.chunk_rows import StoredChunk
from scrivano.store.database import Database
from scrivano.store.jobs import Decoded, JobStore
from scrivano.store.outbox import Outbox
from scrivano.store.postgres import PostgresDatabase
from scrivano.store.sqlite import SqliteDatabase

RUNNING = JobStatus.RUNNING
# Added to the newest attempt's number: mostly none, else an attempt that is over or was never begun.
STALENESS = st.sampled_from([0, 0, 0, -1, 1])


@dataclass
class Model:
    """A job as it should be."""

    created_at: datetime
    webhook: bool
    status: JobStatus = JobStatus.QUEUED
    attempt: int = 0
    lease: datetime | None = None
    language: str | None = None
    progress: int = 0
    total: int | None = None
    result: bytes | None = None
    chunks: list[StoredChunk] = field(default_factory=list)
    log: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    forgotten: int = 0
    ends: int = 0

    def runs(self, attempt: int) -> bool:
        return self.status is RUNNING and self.attempt == attempt

    def advance(self, percent: int) -> None:
        self.progress = max(self.progress, percent)
        self.log.append(("progress", {"percent": self.progress}))

    def end(self, status: JobStatus, kind: str, data: dict[str, Any]) -> None:
        self.status, self.chunks = status, []
        self.log.append((kind, data))
        self.ends += 1


@cache
def empty_database() -> bytes:
    """Made once: a migration takes longer than a whole sequence."""
    with tempfile.TemporaryDirectory() as folder:
        SqliteDatabase.open(Path(folder) / "new.db").close()
        return (Path(folder) / "new.db").read_bytes()


class StoreMachine(RuleBasedStateMachine):
    jobs = Bundle("jobs")

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())

    @initialize()
    def open(self) -> None:
        self.empty()
        self.clock = Clock()
        self.open_store()
        self.model: dict[str, Model] = {}
        self.added = 0

    def empty(self) -> None:
        """Make an empty database."""
        (self.folder / "scrivano.db").write_bytes(empty_database())

    def open_database(self) -> Database:
        return SqliteDatabase.open(self.folder / "scrivano.db")

    def open_store(self) -> None:
        self.database = self.open_database()
        self.outbox = Outbox(self.database, self.clock)
        self.store = JobStore(self.database, self.outbox, self.clock)

    def teardown(self) -> None:
        self.database.close()
        shutil.rmtree(self.folder)

    @rule(target=jobs, webhook=st.booleans())
    def add(self, webhook: bool) -> str:
        self.added += 1
        job_id = f"job-{self.added}"
        self.clock.forward(1)
        add(self.store, new_job(job_id, self.clock, webhook_url="http://hooks.test/" if webhook else None))
        self.model[job_id] = Model(self.clock(), webhook)
        return job_id

    @rule(secs=st.integers(1, 50))
    def wait(self, secs: int) -> None:
        self.clock.forward(secs)

    @rule()
    def restart(self) -> None:
        self.database.close()
        self.open_store()

    @rule()
    def release_leases(self) -> None:
        running = [model for model in self.model.values() if model.status is RUNNING]
        assert self.store.release_leases() == len(running)
        for model in running:
            model.lease = None

    @rule(job_id=jobs, secs=st.integers(1, 50))
    def claim(self, job_id: str, secs: int) -> None:
        model = self.model[job_id]
        void = model.lease is None or model.lease <= self.clock()
        if model.status is JobStatus.QUEUED or (model.status is RUNNING and void):
            model.status, model.attempt = RUNNING, model.attempt + 1
            model.lease = self.clock() + timedelta(seconds=secs)
            assert self.store.claim(job_id, secs) == self.store.get_job(job_id)
        else:
            assert self.store.claim(job_id, secs) is None

    @rule(job_id=jobs, stale=STALENESS, secs=st.integers(1, 50))
    def renew(self, job_id: str, stale: int, secs: int) -> None:
        model = self.model[job_id]
        held = model.runs(model.attempt + stale)
        assert self.store.renew(job_id, model.attempt + stale, secs) is held
        if held:
            model.lease = self.clock() + timedelta(seconds=secs)

    @rule(
        job_id=jobs,
        stale=STALENESS,
        back=st.integers(0, 3),
        count=st.integers(0, 4),
        length=st.sampled_from([800, 600]),
    )
    def add_chunks(self, job_id: str, stale: int, back: int, count: int, length: int) -> None:
        model = self.model[job_id]
        new = plan(count, first=max(0, len(model.chunks) - back), length=length)
        stored = self.store.add_chunks(job_id, model.attempt + stale, new)
        if not model.runs(model.attempt + stale):
            assert stored is None
            return
        for chunk in new:
            _put(model, chunk)
        assert stored == [model.chunks[chunk.index] for chunk in new]

    @rule(job_id=jobs, stale=STALENESS, less=st.integers(0, 2))
    def plan_complete(self, job_id: str, stale: int, less: int) -> None:
        model = self.model[job_id]
        total = max(0, len(model.chunks) - less)
        held = model.runs(model.attempt + stale)
        assert self.store.plan_complete(job_id, model.attempt + stale, chunks_total=total, duration_secs=1.0) is held
        if held:
            model.total, model.chunks = total, model.chunks[:total]

    @rule(
        batch=st.lists(
            st.tuples(
                jobs,
                STALENESS,
                st.integers(0, 5),
                st.binary(min_size=1, max_size=3),
                st.sampled_from([None, "en", "it"]),
                st.none() | st.integers(0, 100),
            ),
            max_size=4,
        )
    )
    def store_results(self, batch: list[tuple[str, int, int, bytes, str | None, int | None]]) -> None:
        results = [
            Decoded(
                job_id=job_id,
                attempt=self.model[job_id].attempt + stale,
                index=index,
                result=result,
                language=language,
                progress=None if percent is None else {"percent": percent},
            )
            for job_id, stale, index, result, language, percent in batch
        ]
        accepted = self.store.store_results(results)
        assert accepted == [self._take(result) for result in results]

    def _take(self, decoded: Decoded) -> bool:
        model = self.model[decoded.job_id]
        assert decoded.index is not None
        if not model.runs(decoded.attempt) or decoded.index >= len(model.chunks):
            return False
        old = model.chunks[decoded.index]
        model.chunks[decoded.index] = StoredChunk(old.chunk, decoded.result, old.crashes)
        model.language = model.language or decoded.language
        if decoded.progress is not None:
            model.advance(decoded.progress["percent"])
        return True

    @rule(job_id=jobs, stale=STALENESS, index=st.integers(0, 5))
    def count_crash(self, job_id: str, stale: int, index: int) -> None:
        model = self.model[job_id]
        (count,) = self.store.count_crashes([(job_id, model.attempt + stale, index)])
        if not model.runs(model.attempt + stale) or index >= len(model.chunks):
            assert count == 0
            return
        old = model.chunks[index]
        assert count == old.crashes + 1
        model.chunks[index] = StoredChunk(old.chunk, old.result, count)

    @rule(job_id=jobs, stale=STALENESS)
    def publish_done(self, job_id: str, stale: int) -> None:
        model = self.model[job_id]
        attempt = model.attempt + stale
        held = model.runs(attempt)
        assert self.store.publish_done(job_id, attempt, b"[%d]" % attempt, language=None, duration_secs=1.0) is held
        if held:
            model.result, model.progress = b"[%d]" % attempt, 100
            model.end(JobStatus.DONE, "done", {})

    @rule(job_id=jobs, stale=STALENESS | st.none())
    def publish_failed(self, job_id: str, stale: int | None) -> None:
        model = self.model[job_id]
        attempt = None if stale is None else model.attempt + stale
        held = model.status is JobStatus.QUEUED if attempt is None else model.runs(attempt)
        assert self.store.publish_failed(job_id, attempt, "code", "why") is held
        if held:
            model.end(JobStatus.FAILED, "error", {"message": "why", "code": "code"})

    @rule(job_id=jobs)
    def cancel(self, job_id: str) -> None:
        model = self.model[job_id]
        if model.status.terminal:
            with pytest.raises(JobTerminal):
                self.store.cancel(job_id)
        else:
            assert self.store.cancel(job_id).status is JobStatus.CANCELLED
            model.end(JobStatus.CANCELLED, "done", {})

    @rule(job_id=jobs)
    def retry(self, job_id: str) -> None:
        model = self.model[job_id]
        if model.status not in (JobStatus.FAILED, JobStatus.CANCELLED):
            with pytest.raises(JobNotRetriable):
                self.store.retry(job_id)
            return
        self.store.retry(job_id)
        model.status, model.progress, model.total = JobStatus.QUEUED, 0, None
        model.forgotten += len(model.log)
        model.log = [("retry", {})]

    @rule(job_id=consumes(jobs))
    def purge(self, job_id: str) -> None:
        if self.model[job_id].status.terminal:
            self.store.purge(job_id)
            del self.model[job_id]
        else:
            with pytest.raises(JobUnfinished):
                self.store.purge(job_id)

    @invariant()
    def every_job_is_as_it_should_be(self) -> None:
        for job_id, model in self.model.items():
            job = self.store.get_job(job_id)
            assert (job.status, job.attempt, job.language) == (model.status, model.attempt, model.language)
            assert (job.progress, job.chunks_total) == (model.progress, model.total)
            assert (job.completed_at is not None) is model.status.terminal
            assert self.store.chunks(job_id) == model.chunks
            assert self.store.get_result(job_id) == model.result
            log = [JobEvent(job_id, seq, *entry) for seq, entry in enumerate(model.log, start=model.forgotten + 1)]
            assert self.store.events_after(job_id, 0) == log

    @invariant()
    def the_queue_and_the_outbox_are_as_they_should_be(self) -> None:
        waiting = [model for model in self.model.values() if model.status is JobStatus.QUEUED]
        assert self.store.queue_depth() == len(waiting)
        alive = [job_id for job_id, model in self.model.items() if not model.status.terminal]
        assert [job.id for job in self.store.unfinished()] == alive
        ended = {job_id: model.ends for job_id, model in self.model.items() if model.webhook and model.status.terminal}
        owed = {f"msg_{job_id}" + (f".{ends}" if ends > 1 else "") for job_id, ends in ended.items()}
        assert {delivery.id for delivery in self.outbox.due(100)} == owed


def _put(model: Model, chunk: Chunk) -> None:
    known = chunk.index < len(model.chunks)
    if known and model.chunks[chunk.index].chunk == chunk:
        return
    model.chunks[chunk.index :] = [StoredChunk(chunk, None, 0)]
    model.total = None


TestStoreMachine = StoreMachine.TestCase
TestStoreMachine.settings = settings(
    max_examples=25, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


@pytest.mark.slow
def test_the_store_is_the_same_on_postgres(postgres_url: str) -> None:
    class PostgresMachine(StoreMachine):
        def empty(self) -> None:
            with closing(PostgresDatabase.open(postgres_url)) as database, database.write() as db:
                db.execute(text(f"TRUNCATE {', '.join(tables.TABLES.tables)}"))

        def open_database(self) -> Database:
            return PostgresDatabase.open(postgres_url)

    run_state_machine_as_test(
        PostgresMachine,
        settings=settings(
            max_examples=15, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
        ),
    )


def test_without_the_fence_the_machine_finds_the_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one test that takes a part out: were the fence not looked at above, nobody would miss it."""
    monkeypatch.setattr(job_rows, "RUNNING", update(tables.jobs).where(tables.jobs.c.id == bindparam("_job_id")))
    monkeypatch.setattr(job_rows, "held", lambda db, job_id, attempt: job_rows.find(db, job_id))

    with pytest.raises(AssertionError):
        run_state_machine_as_test(
            StoreMachine,
            settings=settings(
                max_examples=200,
                stateful_step_count=20,
                deadline=None,
                database=None,
                derandomize=True,
                phases=[Phase.generate],
                suppress_health_check=[HealthCheck.too_slow],
                report_multiple_bugs=False,
            ),
        )
