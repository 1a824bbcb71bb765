"""The one thread that decides: which job begins, who gets the next batch, what is late.

Whatever happens (a request, a child's message, a deadline) becomes an entry of its inbox and is handled in turn, so
no state here is shared and nothing needs a lock. It may wait for the disk; it never waits for a child.
"""

from __future__ import annotations

import logging
import math
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

from scrivano.domain.errors import StorageFull
from scrivano.domain.job import Job
from scrivano.engines.gpu_memory import MemoryReader
from scrivano.files.blobs import Blobs
from scrivano.processes.child import Child, Exited, Message
from scrivano.running.attempts import LEASE_S, AttemptOptions, Attempts
from scrivano.running.engine_pool import Announcer, EnginePool, ModelStatus, News, PoolOptions, Results
from scrivano.running.job_queue import Waitlist
from scrivano.running.media_process import MediaLimits, MediaPool
from scrivano.running.scheduler import WorkItem
from scrivano.store.jobs import JobStore
from scrivano.telemetry.events import Emit, JobStarted, ignore

logger = logging.getLogger(__name__)

FULL_DISK_PAUSE_S = 5.0
# How often deadlines are looked at when nothing happens.
LOOK_S = 1.0

# A look that comes so much later means that this process was stopped itself: nobody else is late then.
AWAY_S = 5.0

# A runner that has not looked at anything for so long waits for something that does not come.
STUCK_S = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerOptions:
    """Plain values out of the settings.

    `drain_s`: what batches in the engines get to end when the server does.
    """

    media_command: Sequence[str]
    pool: PoolOptions
    attempts: AttemptOptions
    media: MediaLimits = field(default_factory=MediaLimits)
    drain_s: float = 4.0


class Runner:
    """Runs every job of the store. Its public methods are thread-safe and return at once.

    A fault that is nobody's job's ends the thread, for good: what is in memory is no longer to be trusted, while all
    that was acknowledged is in the store. Then it is `broken`, and `on_broken` is called, on the thread that ends; it
    may be replaced before work begins.
    """

    def __init__(
        self,
        store: JobStore,
        blobs: Blobs,
        memory: MemoryReader,
        announce: Announcer,
        now: Callable[[], datetime],
        options: RunnerOptions,
        emit: Emit = ignore,
    ) -> None:
        self.on_broken: Callable[[], None] = lambda: None
        self.broken = False
        self._emit = emit
        self._now = now
        self._turned_at = time.monotonic()
        self._store = store
        self._blobs = blobs
        self._options = options
        self._inbox: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="runner", daemon=True)
        self._stopping = False
        self._alive = False
        self._default = options.pool.models[0].name
        self._uploads = 0
        self._uploads_lock = threading.Lock()
        self._pause_until = 0.0
        self._looked_at = time.monotonic()
        self._drained_by = math.inf
        self._media = MediaPool(options.media_command, options.media, self._deliver)
        self._pool = EnginePool(options.pool, memory, announce, now, self._deliver, self._wants, emit)
        self._waitlist = Waitlist([spec.name for spec in options.pool.models])
        self._attempts = Attempts(store, blobs, self._pool, self._media, self._waitlist, options.attempts, emit)

    # For other threads -----------------------------------------------------------------------------------------

    def start(self) -> None:
        """Take up the jobs that a former process left, and begin."""
        self._store.release_leases()
        for job in self._store.unfinished():
            self._waitlist.add(job)
        self._alive = True
        self._thread.start()

    def drain(self) -> None:
        """The server ends: no new batch. Callable from a signal handler."""
        self._post(self._drain)

    def stop(self, timeout_s: float = 8.0) -> None:
        """End in order: batches in the engines are finished and stored, or given up after `drain_s`; children are
        killed. Unfinished jobs go on at the next start."""
        self._post(self._stop)
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    @property
    def alive(self) -> bool:
        """False once the thread has ended, for good."""
        return self._alive

    @property
    def stuck(self) -> bool:
        """Whether the thread lives and does not get on."""
        return self._alive and time.monotonic() - self._turned_at > STUCK_S

    @property
    def pids(self) -> Sequence[int]:
        """The processes that have the models."""
        return self._pool.pids

    @property
    def models(self) -> Mapping[str, ModelStatus]:
        """Every model that this server serves; the first one is meant where none is named."""
        return self._pool.status

    @property
    def model(self) -> ModelStatus:
        return self._pool.status[self._default]

    def submit(self, job: Job) -> None:
        """A job was committed to the store, or is to be tried again."""
        self._post(partial(self._submitted, job))

    def cancel(self, job_id: str) -> None:
        """A job was cancelled in the store: let go of it."""
        self._post(partial(self._attempts.close, job_id))

    def load(self, model: str | None = None) -> None:
        """None: the first one."""
        self._post(partial(self._pool.load, model or self._default))

    def unload(self, model: str | None = None) -> None:
        """None: all of them."""
        self._post(partial(self._pool.unload, model))

    def upload_began(self) -> None:
        """An upload is under way: do not unload before it has become a job. Pair with `upload_ended`."""
        with self._uploads_lock:
            self._uploads += 1

    def upload_ended(self) -> None:
        with self._uploads_lock:
            self._uploads -= 1

    # The loop --------------------------------------------------------------------------------------------------

    def _post(self, action: Callable[[], None]) -> None:
        self._inbox.put(action)

    def _deliver(self, news: Message | Exited) -> None:
        if isinstance(news, Message):
            self._post(partial(self._heard, news.child, news.body))
        else:
            self._post(partial(self._exited, news))

    def _run(self) -> None:
        try:
            while not (self._stopping and self._drained()):
                self._turn_with_room()
        except Exception:
            logger.critical("the runner ended by a fault of the server; nothing goes on without it", exc_info=True)
            self.broken = True
        finally:
            self._alive = False
            if self.broken:
                self.on_broken()
            self._pool.stop()
            self._attempts.abandon()
            self._media.close()

    def _turn_with_room(self) -> None:
        """A full disk stops the work, not the runner: what was not stored is decoded again once there is room."""
        try:
            self._turn()
        except StorageFull as error:
            logger.error("%s", error)
            self._pause_until = time.monotonic() + FULL_DISK_PAUSE_S

    def _turn(self) -> None:
        self._turned_at = time.monotonic()
        with suppress(queue.Empty):
            self._inbox.get(timeout=self._patience())()
            while True:
                self._inbox.get_nowait()()
        self._advance()

    def _patience(self) -> float:
        """Seconds until a model's next deadline; the others have time until the next look, a second later."""
        return min(self._pool.patience(time.monotonic()), LOOK_S)

    def _advance(self) -> None:
        self._pool.tick(self._has_work, in_use=self._uploads > 0)
        ready = self._pool.ready_models()
        self._blobs.disk_space.restore()
        self._claim(ready)
        self._dispatch()
        self._keep_media(bool(ready))
        self._enforce_deadlines()
        self._attempts.renew_leases()

    def _has_work(self, model: str) -> bool:
        return self._waitlist.has_any(model) or self._attempts.has_any(model)

    def _keep_media(self, ready: bool) -> None:
        """What begins preparations stands ready while a model does, or soon will; else its memory is for others."""
        if ready or self._pool.loading:
            self._media.warm()
        else:
            self._media.cool()

    def _drain(self) -> None:
        self._drained_by = min(self._drained_by, time.monotonic() + self._options.drain_s)

    def _stop(self) -> None:
        self._drain()
        self._stopping = True

    @property
    def _draining(self) -> bool:
        return self._drained_by < math.inf

    def _drained(self) -> bool:
        return not self._pool.busy or time.monotonic() > self._drained_by

    # Children --------------------------------------------------------------------------------------------------

    def _heard(self, child: Child, body: Mapping[str, Any]) -> None:
        if (engine := self._pool.engine_of(child)) is not None:
            self._learn(engine.spec.name, self._pool.heard(engine, body))
        else:
            self._attempts.media_said(child, body)

    def _exited(self, exited: Exited) -> None:
        if (engine := self._pool.engine_of(exited.child)) is not None:
            self._learn(engine.spec.name, self._pool.exited(engine, exited))
        else:
            self._attempts.media_exited(exited)

    def _learn(self, model: str, news: News) -> None:
        if isinstance(news, Results):
            self._dispatch()  # the engine goes on while its last results are stored
        self._attempts.learn(model, news)

    def _wants(self, item: WorkItem) -> bool:
        return self._attempts.wants(item)

    def _enforce_deadlines(self) -> None:
        now = time.monotonic()
        away, self._looked_at = now - self._looked_at, now
        if away > AWAY_S:
            logger.warning("this process did not run for %.0f s: all deadlines are as much later", away)
            self._pool.postpone(away)
            self._attempts.postpone(away)
        for model, lost in self._pool.overdue():
            self._learn(model, lost)
        self._attempts.end_overdue(now)

    # Jobs and batches ------------------------------------------------------------------------------------------

    def _submitted(self, job: Job) -> None:
        self._waitlist.add(job)
        self._pool.load(self._waitlist.model_of(job))

    def _claim(self, ready: Sequence[str]) -> None:
        """Begin waiting jobs of models that are ready, while there is room for them."""
        for late in self._waitlist.due(time.monotonic()):
            self._store.release(late.id, late.attempt)
            self._waitlist.resume(late)
        for model in ready:
            while not self._full and (job_id := self._next(model)) is not None:
                self._begin(job_id)

    @property
    def _full(self) -> bool:
        """No job is begun: the server ends, or the disk is full; then jobs come one by one, and make room."""
        return self._draining or (self._blobs.disk_space.short and len(self._attempts) > 0)

    def _next(self, model: str) -> str | None:
        if not self._waitlist.has_any(model):
            return None
        return self._waitlist.take(model, self._attempts.admitted(model))

    def _begin(self, job_id: str) -> None:
        job = self._store.claim(job_id, LEASE_S)
        if job is None:  # cancelled while it waited
            return
        waited = (self._now() - job.created_at).total_seconds() if job.attempt == 1 else None
        self._emit(JobStarted(job, None if waited is None else max(0.0, waited)))
        self._attempts.begin(job)

    def _dispatch(self) -> None:
        if time.monotonic() >= self._pause_until and not self._draining:
            self._pool.dispatch(self._attempts.order)
