"""The one thread that decides: which job starts, who gets the next batch, what is late.

Whatever happens (a request, a message of a child, a deadline) becomes an entry of its inbox and is handled in turn, so
that its state needs no lock; only the count of uploads is shared. It may wait for the disk; it never waits for a child.
"""

from __future__ import annotations

import logging
import math
import queue
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

from scrivano.domain.errors import DatabaseUnreachable, JobNotFound, StorageFull
from scrivano.domain.job import Job, Priority
from scrivano.engines.gpu_memory import MemoryReader
from scrivano.files.blobs import Recordings
from scrivano.files.prepared import PreparedFiles
from scrivano.processes.child import Exited, Received
from scrivano.processes.messages import EngineMessage, MediaMessage
from scrivano.processes.voice_messages import VoiceMessage
from scrivano.running.children import Children
from scrivano.running.engine_pool import EnginePool, PoolOptions, PublishModelEvent
from scrivano.running.job_queue import JobQueue
from scrivano.running.job_runs import JobRunOptions, JobRuns
from scrivano.running.media_process import MediaLimits, MediaPool
from scrivano.running.model_status import ModelStatus
from scrivano.running.recording_fetches import Fetched, RecordingFetches
from scrivano.running.shared_queue import SharedQueue
from scrivano.running.voice_process import VoicePool
from scrivano.running.workload import Workload
from scrivano.store.jobs import JobStore
from scrivano.telemetry.events import Emit, JobStarted, ignore

__all__ = ["Runner", "RunnerOptions"]

logger = logging.getLogger(__name__)

# Deadlines are checked at least this often.
POLL_INTERVAL_S = 1.0

# If the last check was longer ago than this, this process itself was stopped, and no child is late.
SUSPENDED_S = 5.0

# After the database could not be used.
UNREACHABLE_S = 1.0

# What the runner has in hand is counted at most this often: that takes time for each of its jobs.
WORKLOAD_S = 1.0

# A runner that has not finished a turn for so long waits for something that does not come.
STUCK_S = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerOptions:
    """Plain values from the settings.

    `drain_s`: when the server stops, batches in the engines get so long to end. `others_wait_s`: a model is loaded for
    jobs of other servers only when they have waited for so long: those servers may have it ready.
    """

    pool: PoolOptions
    jobs: JobRunOptions = field(default_factory=JobRunOptions)
    media: MediaLimits = field(default_factory=MediaLimits)
    drain_s: float = 4.0
    others_wait_s: float = 5.0


class Runner:
    """Runs every job of the store; implements `Executor`. Its public methods are thread-safe and return at once.

    A fault that does not belong to one job ends the thread for good: its memory is no longer to be trusted, while
    everything that was acknowledged is in the store. The runner is then `broken`, and `on_broken` is called on the
    ending thread. `workload`: what it has in hand, as of a second or two ago.
    """

    def __init__(
        self,
        store: JobStore,
        blobs: Recordings,
        prepared: PreparedFiles,
        children: Children,
        memory: MemoryReader,
        publish: PublishModelEvent,
        now: Callable[[], datetime],
        options: RunnerOptions,
        emit: Emit = ignore,
        *,
        on_broken: Callable[[], None] = lambda: None,
    ) -> None:
        self._on_broken = on_broken
        self.broken = False
        self._emit = emit
        self._now = now
        self._turned_at = time.monotonic()
        self._counted_at = -math.inf
        self._store = store
        self._disk_space = prepared.disk_space
        self._options = options
        self._inbox: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="runner", daemon=True)
        self._stopping = False
        self._alive = False
        self._models = [spec.name for spec in options.pool.models]
        self._uploads = 0
        self._uploads_lock = threading.Lock()
        self._pause_until = 0.0
        self._checked_at = time.monotonic()
        self._drained_by = math.inf
        self._media = MediaPool(children.media, options.media, self._from_media)
        self._pool = EnginePool(options.pool, children, memory, publish, now, self._from_engine, emit)
        self._shared = SharedQueue(self._models) if store.shared else None
        self._queue = self._shared or JobQueue(self._models)
        self._voices = VoicePool(children.speakers, self._from_voices)
        self._jobs = JobRuns(
            store,
            blobs,
            prepared,
            self._pool,
            RecordingFetches(blobs, self._from_fetches),
            self._media,
            self._voices,
            self._queue,
            options.jobs,
            emit,
        )
        self.workload = Workload()

    # For other threads: see `Executor` -------------------------------------------------------------------------

    def take_up(self) -> None:
        """With a shared database, other servers may have their leases: they are claimed like all others."""
        if self._shared is None:
            self._store.release_leases()
            for job in self._store.unfinished():
                self._queue.add(job)

    def start(self) -> None:
        self._alive = True
        self._thread.start()

    def drain(self) -> None:
        self._post(self._drain)

    def stop(self, timeout_s: float = 8.0) -> None:
        """Stop in order: batches in the engines end and are stored, or are given up after `drain_s`; children are
        killed. Unfinished jobs go on at the next start."""
        self._post(self._stop)
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    @property
    def alive(self) -> bool:
        return self._alive

    @property
    def shares_jobs(self) -> bool:
        return self._shared is not None

    @property
    def stuck(self) -> bool:
        return self._alive and time.monotonic() - self._turned_at > STUCK_S

    @property
    def pids(self) -> Sequence[int]:
        return self._pool.pids

    @property
    def models(self) -> Mapping[str, ModelStatus]:
        return self._pool.status

    @property
    def model(self) -> ModelStatus:
        return self._pool.status[self._models[0]]

    def submit(self, job: Job) -> None:
        self._post(partial(self._submitted, job))

    def cancel(self, job_id: str) -> None:
        self._post(partial(self._jobs.close, job_id))

    def cancelled_elsewhere(self, job_id: str) -> None:
        self._post(partial(self._jobs.close_running, job_id))

    def look(self) -> None:
        self._post(self._look)

    def look_at_models(self) -> None:
        """The models of this runner are its own."""

    def load(self, model: str | None = None) -> None:
        self._post(partial(self._pool.load, model or self._models[0]))

    def unload(self, model: str | None = None) -> None:
        self._post(partial(self._pool.unload, model))

    def upload_began(self) -> None:
        with self._uploads_lock:
            self._uploads += 1

    def upload_ended(self) -> None:
        with self._uploads_lock:
            self._uploads -= 1

    # The loop --------------------------------------------------------------------------------------------------

    def _post(self, action: Callable[[], None]) -> None:
        self._inbox.put(action)

    def _from_fetches(self, fetched: Fetched) -> None:
        self._post(partial(self._jobs.recording_fetched, fetched))

    def _from_media(self, news: Received[MediaMessage] | Exited[MediaMessage]) -> None:
        if isinstance(news, Received):
            self._post(partial(self._jobs.media_sent, news.child, news.message))
        else:
            self._post(partial(self._jobs.media_exited, news))

    def _from_engine(self, news: Received[EngineMessage] | Exited[EngineMessage]) -> None:
        self._post(partial(self._engine_sent, news))

    def _from_voices(self, news: Received[VoiceMessage] | Exited[VoiceMessage]) -> None:
        self._post(partial(self._voices_sent, news))

    def _run(self) -> None:
        try:
            while not (self._stopping and self._drained):
                self._turn_unless_full()
        except Exception:
            logger.critical(
                "the runner has ended because of an error in the server; no job continues until a restart",
                exc_info=True,
            )
            self.broken = True
        finally:
            self._alive = False
            if self.broken:
                self._on_broken()
            self._pool.stop()
            self._jobs.abandon()
            self._media.close()
            self._voices.close()

    def _turn_unless_full(self) -> None:
        """A full disk, or a database that is gone, stops the work, not the runner: what could not be stored is decoded
        again later."""
        try:
            self._turn()
        except StorageFull as error:
            logger.error("%s", error)
            self._pause_until = time.monotonic() + self._options.jobs.put_off_s
        except DatabaseUnreachable as error:
            logger.error("%s (%s)", error, error.reason)
            self._pause_until = time.monotonic() + UNREACHABLE_S
            time.sleep(UNREACHABLE_S)

    def _turn(self) -> None:
        self._turned_at = time.monotonic()
        self._count_workload(self._turned_at)
        self._handle_inbox(min(self._pool.next_deadline_s(self._turned_at), POLL_INTERVAL_S))
        self._check_deadlines()
        self._jobs.commit()
        # The end of a clip's plan follows its only chunk at once. Known by now, it makes the clip urgent work.
        self._handle_inbox(0.0)
        if time.monotonic() >= self._pause_until and not self._draining:
            self._jobs.decode()
        self._jobs.commit()
        self._advance()

    def _handle_inbox(self, timeout_s: float) -> None:
        """Handle what is there; wait up to `timeout_s` for the first entry."""
        with suppress(queue.Empty):
            self._inbox.get(block=timeout_s > 0, timeout=timeout_s or None)()
            while True:
                self._inbox.get_nowait()()

    def _advance(self) -> None:
        """What time, rather than a message, makes due."""
        working = self._jobs.models() | {model for model in self._models if self._queue.has_any(model)}
        self._pool.tick(working, in_use=self._uploads > 0)
        ready = self._pool.ready_models()
        self._disk_space.restore()
        self._start_jobs(ready)
        if ready or self._pool.loading:
            self._media.warm()
        else:
            self._media.cool()
        if (outcome := self._voices.tick()) is not None:
            self._jobs.voices_returned(outcome)
        self._jobs.renew_leases()

    def _count_workload(self, now_s: float) -> None:
        """Other threads read the result, which never changes."""
        if now_s - self._counted_at < WORKLOAD_S:
            return
        self._counted_at = now_s
        self.workload = Workload(
            jobs=len(self._jobs),
            engines=self._pool.count_engines(),
            waiting_chunks=self._pool.count_waiting(),
            media_children=self._media.at_work,
            speakers_children=int(self._voices.at_work),
        )

    def _engine_sent(self, news: Received[EngineMessage] | Exited[EngineMessage]) -> None:
        if (outcome := self._pool.received(news)) is not None:
            self._jobs.engine_returned(outcome)

    def _voices_sent(self, news: Received[VoiceMessage] | Exited[VoiceMessage]) -> None:
        if (outcome := self._voices.received(news)) is not None:
            self._jobs.voices_returned(outcome)

    def _check_deadlines(self) -> None:
        now = time.monotonic()
        away_s, self._checked_at = now - self._checked_at, now
        if away_s > SUSPENDED_S:
            logger.warning("this process did not run for %.0f s: all deadlines are that much later", away_s)
            self._pool.postpone(away_s)
            self._jobs.postpone(away_s)
            self._voices.postpone(away_s)
        for lost in self._pool.kill_hung():
            self._jobs.engine_returned(lost)
        self._jobs.fail_late_media(now)

    # Jobs ------------------------------------------------------------------------------------------------------

    def _submitted(self, job: Job) -> None:
        self._pool.load(self._queue.add(job))

    def _start_jobs(self, ready: Sequence[str]) -> None:
        """Start waiting jobs of models that are ready, as many as are admitted."""
        for job in self._queue.due(time.monotonic()):
            self._resume(job)
        for model in ready:
            while not self._admits_nothing and self._queue.has_any(model):
                if not self._start_next(model):
                    break

    def _start_next(self, model: str) -> bool:
        """Start a job of this model, unless another server has been faster. False: no job may start."""
        admitted = self._jobs.admitted(model)
        if self._shared is not None:
            return self._start_shared(self._shared, model, admitted)
        job_id = self._queue.take(model, admitted)
        if job_id is not None:
            self._start_job(job_id, model)
        return job_id is not None

    def _start_shared(self, queue: SharedQueue, model: str, admitted: Collection[Priority]) -> bool:
        if self._pool.has_plenty(model):  # others are left for other servers
            admitted = [priority for priority in admitted if priority is Priority.INTERACTIVE]
        priority = queue.next_class(model, admitted)
        if priority is None:
            return False
        job = self._store.claim_next(queue.names_of(model), priority, self._options.jobs.lease_s)
        if job is None:
            queue.none_left(model, priority)
        else:
            self._start_claimed(job, model)
        return True

    def _look(self) -> None:
        """Learn of which classes jobs wait."""
        if self._shared is None:
            return
        now, ready = self._now(), self._pool.ready_models()
        for model in self._models:
            before = now if model in ready else now - timedelta(seconds=self._options.others_wait_s)
            self._shared.found(model, self._store.claimable(self._shared.names_of(model), before))

    def _resume(self, job: Job) -> None:
        """Queue a job again that was put off. With the disk still full it stays put off."""
        try:
            self._store.release(job.id, job.attempt)
        except (StorageFull, DatabaseUnreachable):
            self._jobs.put_off(job)
            raise
        self._queue.resume(job)

    @property
    def _admits_nothing(self) -> bool:
        """Whether no job may start now: the server is stopping, or the disk is full and a job runs already.

        With a full disk jobs run one by one, so that each frees what it used.
        """
        return self._draining or (self._disk_space.short and len(self._jobs) > 0)

    def _start_job(self, job_id: str, model: str) -> None:
        try:
            job = self._store.claim(job_id, self._options.jobs.lease_s)
        except StorageFull:
            with suppress(JobNotFound):
                self._jobs.put_off(self._store.get_job(job_id))
            raise
        if job is not None:  # else it was cancelled while it waited
            self._start_claimed(job, model)

    def _start_claimed(self, job: Job, model: str) -> None:
        waited_s = (self._now() - job.created_at).total_seconds() if job.attempt == 1 else None
        self._emit(JobStarted(job, None if waited_s is None else max(0.0, waited_s)))
        self._jobs.start(job, model)

    # Stopping --------------------------------------------------------------------------------------------------

    def _drain(self) -> None:
        self._drained_by = min(self._drained_by, time.monotonic() + self._options.drain_s)

    def _stop(self) -> None:
        self._drain()
        self._stopping = True

    @property
    def _draining(self) -> bool:
        return self._drained_by < math.inf

    @property
    def _drained(self) -> bool:
        return not self._pool.busy or time.monotonic() > self._drained_by
