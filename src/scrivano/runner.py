"""The one thread that decides: claims jobs, has them prepared, feeds batches to the engine, assembles, publishes.

Whatever happens (a request, a child's message, a deadline) becomes an entry of its inbox and is handled in turn, so
no state here is shared and nothing needs a lock. It may wait for the disk; it never waits for a child.
"""

from __future__ import annotations

import json
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

from scrivano.assembly import assemble, known_segments, main_language, served_json
from scrivano.blobs import Blobs
from scrivano.errors import JobNotFound, ScrivanoError, StorageFull
from scrivano.gpu import MemoryReader
from scrivano.jobs import Chunk, Job, JobStatus, Piece, Priority
from scrivano.observations import JobBegan, JobTranscribed, MediaLost, Observe, StageEnded, nobody
from scrivano.openjob import OpenJob, decoding
from scrivano.pool import Announcer, EnginePool, Lost, ModelStatus, News, PoolOptions, Refused, Results
from scrivano.preparation import MediaLimits, MediaPool
from scrivano.processes import Child, Exited, Message
from scrivano.scheduler import Line, WorkItem
from scrivano.store import Decoded, Store

logger = logging.getLogger(__name__)

LEASE_SECS = 60.0
PREPARATIONS = 2
"""Media children at work at once, less urgent jobs' not counted; each takes about one core while it decodes."""

MEDIA_TRIES = 5
"""A preparation whose child dies is begun again this often before the recording is blamed."""

FAULTS_ALLOWED = 1
"""A chunk over which an engine died of itself gets one more engine, alone; then its job fails."""

KILLS_ALLOWED = 5
"""Deaths by SIGKILL or SIGTERM come from outside, and rarely mean the chunk."""

FULL_DISK_PAUSE_SECS = 5.0
PUT_OFF_SECS = 10.0
"""How much later a job begins again that met a full disk."""

LOOK_SECS = 1.0
"""How often deadlines are looked at when nothing happens."""

AWAY_SECS = 5.0
"""A look that comes so much later means that this process was stopped itself: nobody else is late then."""

STUCK_SECS = 300.0
"""A runner that has not looked at anything for so long waits for something that does not come."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerOptions:
    """Plain values out of the settings.

    `decoding` are `DecodingOptions` as JSON values (this process imports no engine). `jobs_open`: how many jobs of a
    model may be in work at once, less urgent ones not counted. `keep_audio`: done and cancelled jobs keep their upload.
    `drain_s`: what batches in the engines get to end when the server does.
    """

    media_command: Sequence[str]
    pool: PoolOptions
    decoding: Mapping[str, Any]
    media: MediaLimits = field(default_factory=MediaLimits)
    jobs_open: int = 16
    keep_audio: bool = False
    drain_s: float = 4.0


class Runner:
    """Runs every job of the store. Its public methods are thread-safe and return at once.

    A fault that is nobody's job's ends the thread, for good: what is in memory is no longer to be trusted, while all
    that was acknowledged is in the store. Then it is `broken`, and `on_broken` is called, on the thread that ends; it
    may be replaced before work begins.
    """

    def __init__(
        self,
        store: Store,
        blobs: Blobs,
        memory: MemoryReader,
        announce: Announcer,
        now: Callable[[], datetime],
        options: RunnerOptions,
        observe: Observe = nobody,
    ) -> None:
        self.on_broken: Callable[[], None] = lambda: None
        self.broken = False
        self._observe = observe
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
        self._waiting = {spec.name: Line() for spec in options.pool.models}
        self._open: dict[str, OpenJob] = {}
        self._later: dict[str, tuple[float, Job]] = {}
        self._uploads = 0
        self._renew_at = 0.0
        self._pause_until = 0.0
        self._looked_at = time.monotonic()
        self._drained_by = math.inf
        self._media = MediaPool(options.media_command, options.media, self._deliver)
        self._pool = EnginePool(options.pool, memory, announce, now, self._deliver, self._wants, observe)

    # For other threads -----------------------------------------------------------------------------------------

    def start(self) -> None:
        """Take up the jobs that a former process left, and begin."""
        self._store.release_leases()
        for job in self._store.unfinished():
            self._line(job).add(job.id, job.priority)
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
        return self._alive and time.monotonic() - self._turned_at > STUCK_SECS

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
        self._post(partial(self._close, job_id))

    def load(self, model: str | None = None) -> None:
        """None: the first one."""
        self._post(partial(self._pool.load, model or self._default))

    def unload(self, model: str | None = None) -> None:
        """None: all of them."""
        self._post(partial(self._pool.unload, model))

    def upload_began(self) -> None:
        """An upload is under way: do not unload before it has become a job. Pair with `upload_ended`."""
        self._post(partial(self._count_upload, 1))

    def upload_ended(self) -> None:
        self._post(partial(self._count_upload, -1))

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
            for job_id in list(self._open):
                self._close(job_id, keep_files=True)
            self._media.close()

    def _turn_with_room(self) -> None:
        """A full disk stops the work, not the runner: what was not stored is decoded again once there is room."""
        try:
            self._turn()
        except StorageFull as error:
            logger.error("%s", error)
            self._pause_until = time.monotonic() + FULL_DISK_PAUSE_SECS

    def _turn(self) -> None:
        self._turned_at = time.monotonic()
        with suppress(queue.Empty):
            self._inbox.get(timeout=self._patience())()
            while True:
                self._inbox.get_nowait()()
        self._advance()

    def _patience(self) -> float:
        """Seconds until a model's next deadline; the others have time until the next look, a second later."""
        return min(self._pool.patience(time.monotonic()), LOOK_SECS)

    def _advance(self) -> None:
        self._pool.tick(self._has_work, in_use=self._uploads > 0)
        ready = self._pool.ready_models()
        self._blobs.room.restore()
        self._claim(ready)
        self._dispatch()
        self._keep_media(bool(ready))
        self._enforce_deadlines()
        self._renew_leases()

    def _has_work(self, model: str) -> bool:
        return bool(self._waiting[model]) or any(self._model_of(item.job) == model for item in self._open.values())

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

    def _count_upload(self, change: int) -> None:
        self._uploads += change

    # Children --------------------------------------------------------------------------------------------------

    def _heard(self, child: Child, body: Mapping[str, Any]) -> None:
        engine = self._pool.engine_of(child)
        if engine is not None:
            self._learn(engine.spec.name, self._pool.heard(engine, body))
            return
        for open_job in self._open.values():
            if open_job.preparation is not None and open_job.preparation.child is child:
                open_job.preparation.heard()
                self._guard(open_job, partial(self._media_said, open_job, body))
                return

    def _exited(self, exited: Exited) -> None:
        engine = self._pool.engine_of(exited.child)
        if engine is not None:
            self._learn(engine.spec.name, self._pool.exited(engine, exited))
            return
        self._media.forget(exited.child)
        for open_job in self._open.values():
            if open_job.preparation is not None and open_job.preparation.child is exited.child:
                self._guard(open_job, partial(self._media_died, open_job, exited.reason))
                return

    def _guard(self, open_job: OpenJob, action: Callable[[], None]) -> None:
        """A fault in one job's handling fails that job alone; a full disk only puts it off."""
        try:
            try:
                action()
            except StorageFull:
                action()  # the reserve may have been given up meanwhile, and no action minds to be begun again
        except StorageFull as error:
            logger.error("job put off: %s", error, extra=_about(open_job))
            self._put_off(open_job)
        except Exception as error:
            logger.exception("job failed", extra=_about(open_job))
            code = error.code if isinstance(error, ScrivanoError) else "internal"
            try:
                self._fail(open_job, code, f"the server could not go on with this job: {error}")
            except Exception:
                self._put_off(open_job)  # not even the failure can be stored

    def _put_off(self, open_job: OpenJob) -> None:
        """Give the attempt up; what it decoded is stored, and the next one begins a little later."""
        self._close(open_job.job.id, keep_files=True)
        with suppress(OSError):
            self._blobs.delete_prepared(open_job.job.id)  # it is made anew, and may be what filled the disk
        self._later[open_job.job.id] = (time.monotonic() + PUT_OFF_SECS, open_job.job)

    def _enforce_deadlines(self) -> None:
        now = time.monotonic()
        away, self._looked_at = now - self._looked_at, now
        if away > AWAY_SECS:
            logger.warning("this process did not run for %.0f s: all deadlines are as much later", away)
            self._pool.postpone(away)
            for open_job in self._open.values():
                if open_job.preparation is not None:
                    open_job.preparation.postpone(away)
        for model, lost in self._pool.overdue():
            self._learn(model, lost)
        for open_job in list(self._open.values()):
            preparation = open_job.preparation
            if preparation is not None and now > preparation.deadline:
                message = (
                    "preparing the recording took too long; cut it into smaller files, or convert it to WAV or FLAC"
                )
                self._guard(open_job, partial(self._fail, open_job, "media_timeout", message))

    # Jobs: claiming and preparing ------------------------------------------------------------------------------

    def _submitted(self, job: Job) -> None:
        self._line(job).add(job.id, job.priority)
        self._pool.load(self._model_of(job))

    def _model_of(self, job: Job) -> str:
        """A model that is no longer served gives way to the first one."""
        return job.model if job.model in self._waiting else self._default

    def _line(self, job: Job) -> Line:
        return self._waiting[self._model_of(job)]

    def _claim(self, ready: Sequence[str]) -> None:
        """Begin waiting jobs of models that are ready, while there is room for them."""
        for late in [job for at, job in self._later.values() if time.monotonic() > at]:
            self._store.release(late.id, late.attempt)
            del self._later[late.id]
            self._line(late).add(late.id, late.priority)
        for model in ready:
            line = self._waiting[model]
            while line and not self._full and (job_id := line.take(self._admitted(model))) is not None:
                self._begin(job_id)

    @property
    def _full(self) -> bool:
        """No job is begun: the server ends, or the disk is full; then jobs come one by one, and make room."""
        return self._draining or (self._blobs.room.short and bool(self._open))

    def _begin(self, job_id: str) -> None:
        job = self._store.claim(job_id, LEASE_SECS)
        if job is None:  # cancelled while it waited
            return
        options = decoding(self._options.decoding, job.decoding)
        stored = self._store.chunks(job.id) if job.attempt > 1 else []
        open_job = self._open[job.id] = OpenJob.begin(job, stored, options)
        logger.info("job running", extra=_about(open_job))
        waited = (self._now() - job.created_at).total_seconds() if job.attempt == 1 else None
        self._observe(JobBegan(job, None if waited is None else max(0.0, waited)))
        self._guard(open_job, partial(self._prepare, open_job))

    def _admitted(self, model: str) -> list[Priority]:
        """The classes of which another job may begin: those less urgent do not stand in the way."""
        admitted: list[Priority] = []
        open_jobs: list[OpenJob] = []
        for kind in Priority:
            open_jobs += [item for item in self._open.values() if item.priority is kind]
            preparing = sum(item.preparation is not None for item in open_jobs)
            of_model = sum(self._model_of(item.job) == model for item in open_jobs)
            if preparing < PREPARATIONS and of_model < self._options.jobs_open:
                admitted.append(kind)
        return admitted

    def _prepare(self, open_job: OpenJob) -> None:
        job = open_job.job
        source = self._blobs.path(job.id)
        if not source.exists():  # a retry, and the end of what it retries, can cross
            self._fail(open_job, "audio_gone", "the recording is no longer kept; submit it again")
            return
        open_job.media_tries += 1
        target = self._blobs.prepared_path(job.id, job.attempt)
        vad = job.decoding.vad is not False
        open_job.preparation = self._media.start(job.id, source, target, vad=vad)

    def _media_said(self, open_job: OpenJob, body: Mapping[str, Any]) -> None:
        job = open_job.job
        match body["type"]:
            case "probe":
                open_job.duration = body["duration"]
            case "chunk":
                pieces = tuple(Piece(start, end) for start, end in body["pieces"])
                self._add_chunk(open_job, Chunk(body["index"], pieces))
            case "end":
                self._prepared(open_job)
                open_job.duration = body["duration"]
                open_job.chunks_total = body["chunks"]
                self._store.plan_complete(
                    job.id, job.attempt, chunks_total=body["chunks"], duration_secs=body["duration"]
                )
                self._hear_out(open_job)
                self._finish_if_complete(open_job)
            case "error":
                self._fail(open_job, body["code"], body["message"])

    def _prepared(self, open_job: OpenJob) -> None:
        if open_job.preparation is not None:
            secs = time.monotonic() - open_job.preparation.began
            self._observe(StageEnded(open_job.job.id, "prepare", secs))
        open_job.preparation = None

    def _media_died(self, open_job: OpenJob, reason: str) -> None:
        self._observe(MediaLost(open_job.job.id))
        open_job.preparation = None
        if open_job.media_tries < MEDIA_TRIES:
            logger.warning("preparing again: the media process ended with %s", reason, extra=_about(open_job))
            self._prepare(open_job)
        else:
            message = f"the recording cannot be prepared: its reader ended with {reason} {MEDIA_TRIES} times"
            self._fail(open_job, "media_crashed", message)

    def _add_chunk(self, open_job: OpenJob, chunk: Chunk) -> None:
        if chunk.index in open_job.chunks:  # a preparation that was begun again
            return
        job = open_job.job
        known = open_job.stored.get(chunk.index)
        if known is None or known.chunk != chunk:
            rows = self._store.add_chunks(job.id, job.attempt, [chunk], duration_secs=open_job.duration)
            if rows is None:
                self._close(job.id)
                return
            open_job.replan(chunk.index)
            known = rows[0]
        open_job.add_chunk(chunk)
        self._pool.add(self._model_of(job), open_job.hold(_work_item(open_job, chunk, alone=known.crashes > 0)))

    def _hear_out(self, open_job: OpenJob) -> None:
        """No more speech comes: chunks whose language waited for it wait no longer."""
        job, segments = open_job.job, open_job.tell()
        with suppress(StorageFull):  # what is to be stored of it is in the job's end, too
            if open_job.new_language:
                self._store.set_language(job.id, job.attempt, open_job.new_language)
            for segment in segments:
                self._store.append_event(job.id, job.attempt, "segment", segment)
        self._go_on(open_job)

    # Batches ---------------------------------------------------------------------------------------------------

    def _dispatch(self) -> None:
        if time.monotonic() >= self._pause_until and not self._draining:
            self._pool.dispatch(self._order)

    def _order(self, batch: Sequence[WorkItem]) -> tuple[Mapping[str, Any], list[dict[str, Any]]]:
        """Options and chunks as the engine reads them; all of a batch have the same options."""
        return self._open[batch[0].job_id].decoding, [self._wire_chunk(item) for item in batch]

    def _wire_chunk(self, item: WorkItem) -> dict[str, Any]:
        job, chunk = self._open[item.job_id].job, self._open[item.job_id].chunks[item.index]
        return {
            "path": str(self._blobs.prepared_path(job.id, job.attempt)),
            "pieces": [[piece.start, piece.end] for piece in chunk.pieces],
            "task": job.task.value,
            **self._open[item.job_id].ask(item.index),
        }

    def _learn(self, model: str, news: News) -> None:
        match news:
            case Results(items, results):
                self._decoded(model, items, results)
            case Refused(items, message):
                self._blame_input(model, items, message)
            case Lost(items, message, from_outside):
                self._blame(model, items, message, KILLS_ALLOWED if from_outside else FAULTS_ALLOWED)

    def _decoded(self, model: str, items: Sequence[WorkItem], results: Sequence[Mapping[str, Any]]) -> None:
        self._dispatch()  # the engine goes on while its last results are stored
        wanted = [(item, result) for item, result in zip(items, results, strict=True) if self._wants(item)]
        for (item, _), accepted in zip(wanted, self._store_results(model, wanted), strict=True):
            open_job = self._open.get(item.job_id)
            if open_job is not None and not accepted:
                self._close(item.job_id)
            elif open_job is not None:
                self._go_on(open_job)
                self._guard(open_job, partial(self._finish_if_complete, open_job))

    def _go_on(self, open_job: OpenJob) -> None:
        """The first speech may have told the language: who only asked for that need not wait for the transcript."""
        if (choice := open_job.learn_language()) is not None:
            told = {"language": choice.language, "probability": round(choice.probability, 4)}
            with suppress(StorageFull):  # an event is no loss, the chunks that wait for the language would be
                self._store.append_event(open_job.job.id, open_job.job.attempt, "language", told)
        model = self._model_of(open_job.job)
        self._pool.put_back(model, open_job.due())  # ahead of later chunks, for text is told in order
        if open_job.chunks_total is not None and not open_job.held:
            self._pool.complete(model, open_job.job.id)

    def _store_results(self, model: str, decoded: Sequence[tuple[WorkItem, Mapping[str, Any]]]) -> list[bool]:
        rows = []
        shown = {item.job_id: self._open[item.job_id].shown for item, _ in decoded}
        for item, result in decoded:
            open_job = self._open[item.job_id]
            rows.append(self._row(open_job, item.index, open_job.note(item, result)))
        try:
            return self._store.store_results(rows)
        except StorageFull:
            for item, _ in decoded:
                self._open[item.job_id].mark_undone(item.index)
                self._open[item.job_id].shown = shown[item.job_id]
            self._pool.put_back(model, [item for item, _ in decoded])
            raise

    def _row(self, open_job: OpenJob, index: int, result: Mapping[str, Any]) -> Decoded:
        return Decoded(
            job_id=open_job.job.id,
            attempt=open_job.job.attempt,
            index=index,
            result=json.dumps(result, ensure_ascii=False).encode(),
            language=open_job.new_language,
            segments=open_job.hear(index, known_segments(open_job.chunks[index], result)),
            progress=open_job.progress_due(time.monotonic()),
        )

    def _blame_input(self, model: str, items: Sequence[WorkItem], message: str) -> None:
        """One chunk of the batch cannot be decoded; each gets its own batch, and a lone one fails its job."""
        if len(items) > 1:
            self._pool.put_back(model, items, alone=True)
        elif items and self._wants(items[0]):
            open_job = self._open[items[0].job_id]
            self._fail(open_job, "engine_input", f"a part of the recording cannot be decoded: {message}")

    def _blame(self, model: str, items: Sequence[WorkItem], message: str, allowed: int) -> None:
        """Count a crash for each chunk of the batch; one that was alone too often fails its job."""
        suspects = [item for item in items if self._wants(item)]
        counts = self._store.count_crashes(
            [(item.job_id, self._open[item.job_id].job.attempt, item.index) for item in suspects]
        )
        guilty = {
            item.job_id for item, count in zip(suspects, counts, strict=True) if count > allowed and len(items) == 1
        }
        self._pool.put_back(model, [item for item in suspects if item.job_id not in guilty], alone=True)
        for job_id in guilty:
            self._fail(self._open[job_id], "engine_crashed", f"a part of the recording ends the engine: {message}")

    def _wants(self, item: WorkItem) -> bool:
        """Whether the attempt for which the chunk was given out still goes on."""
        open_job = self._open.get(item.job_id)
        return open_job is not None and open_job.job.attempt == item.attempt

    # A job's end -----------------------------------------------------------------------------------------------

    def _finish_if_complete(self, open_job: OpenJob) -> None:
        if not open_job.complete:
            return
        job, began = open_job.job, time.monotonic()
        duration = open_job.duration or 0.0
        stored = self._store.chunks(job.id)
        results = [(item.chunk, json.loads(item.result)) for item in stored if item.result is not None]
        segments = assemble(results, duration)
        language = main_language(segments) or open_job.language
        self._store.publish_done(job.id, job.attempt, served_json(segments), language=language, duration_secs=duration)
        ended = time.monotonic()
        self._observe(StageEnded(job.id, "assemble", ended - began))
        self._observe(JobTranscribed(job.id, duration, ended - open_job.began, whole=not open_job.stored))
        logger.info("job done", extra={**_about(open_job), "duration_secs": duration, "chunks": len(stored)})
        self._close(job.id)

    def _fail(self, open_job: OpenJob, code: str, message: str) -> None:
        self._store.publish_failed(open_job.job.id, open_job.job.attempt, code, message)
        logger.warning("job failed: %s", message, extra={**_about(open_job), "code": code})
        self._close(open_job.job.id)

    def _close(self, job_id: str, *, keep_files: bool = False) -> None:
        """Let go of a job: its child, its chunks, its files. Unknown ids are fine."""
        open_job = self._open.pop(job_id, None)
        self._pool.remove(job_id)
        if open_job is not None and open_job.preparation is not None:
            self._media.stop(open_job.preparation)
        if not keep_files:
            for line in self._waiting.values():
                line.remove(job_id)
            if open_job is not None:
                self._blobs.delete_prepared(job_id, open_job.job.attempt)
            if self._audio_is_spent(job_id):
                self._blobs.delete(job_id)

    def _audio_is_spent(self, job_id: str) -> bool:
        """A failed job keeps its upload, so that it can be tried again."""
        try:
            status = self._store.get_job(job_id).status
        except JobNotFound:
            return True
        return status in (JobStatus.DONE, JobStatus.CANCELLED) and not self._options.keep_audio

    def _renew_leases(self) -> None:
        now = time.monotonic()
        if now < self._renew_at:
            return
        self._renew_at = now + LEASE_SECS / 3
        for job_id, open_job in list(self._open.items()):
            if not self._store.renew(job_id, open_job.job.attempt, LEASE_SECS):
                self._close(job_id)


def _about(open_job: OpenJob) -> dict[str, Any]:
    return {"job_id": open_job.job.id, "attempt": open_job.job.attempt}


def _work_item(open_job: OpenJob, chunk: Chunk, *, alone: bool) -> WorkItem:
    job = open_job.job
    return WorkItem(
        job.id,
        chunk.index,
        chunk.seconds,
        alone=alone,
        group=open_job.group,
        priority=open_job.priority,
        attempt=job.attempt,
    )
