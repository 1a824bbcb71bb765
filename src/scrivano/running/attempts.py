"""The jobs in work, each from its claim to its end: prepared, decoded chunk by chunk, assembled, published.

All of it belongs to the runner's thread, which says when a job begins, what children said, and that time goes by. What
is in memory here can be lost: the store has all that was decoded, and the next attempt goes on from there.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from scrivano.domain.chunk import Chunk, Piece
from scrivano.domain.errors import JobNotFound, ScrivanoError, StorageFull
from scrivano.domain.job import Job, JobStatus, Priority
from scrivano.files.blobs import Blobs
from scrivano.processes.child import Child, Exited
from scrivano.running.engine_pool import EnginePool, Lost, News, Refused, Results
from scrivano.running.job_queue import Waitlist
from scrivano.running.media_process import MediaPool, Preparation
from scrivano.running.open_job import OpenJob, decoding
from scrivano.running.scheduler import WorkItem
from scrivano.store.jobs import Decoded, JobStore
from scrivano.telemetry.events import Emit, JobTranscribed, MediaProcessLost, StageEnded
from scrivano.text.assembly import assemble, job_segments, json_of, known_segments, main_language

logger = logging.getLogger(__name__)

LEASE_S = 60.0
# Media children at work at once, less urgent jobs' not counted; each takes about one core while it decodes.
PREPARATIONS = 2

# A preparation whose child dies is begun again this often before the recording is blamed.
MEDIA_TRIES = 5

# A chunk over which an engine died of itself gets one more engine, alone; then its job fails.
FAULTS_ALLOWED = 1

# Deaths by SIGKILL or SIGTERM come from outside, and rarely mean the chunk.
KILLS_ALLOWED = 5

# How much later a job begins again that met a full disk.
PUT_OFF_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptOptions:
    """`decoding` are `DecodingOptions` as JSON values (this process imports no engine). `jobs_open`: how many jobs of a
    model may be in work at once, less urgent ones not counted. `keep_audio`: done and cancelled jobs keep their upload.
    """

    decoding: Mapping[str, Any]
    jobs_open: int = 16
    keep_audio: bool = False


class Attempts:
    """The attempts that go on, one a job. Whatever goes wrong in one of them ends or puts off that job alone."""

    def __init__(
        self,
        store: JobStore,
        blobs: Blobs,
        pool: EnginePool,
        media: MediaPool,
        waitlist: Waitlist,
        options: AttemptOptions,
        emit: Emit,
    ) -> None:
        self._store = store
        self._blobs = blobs
        self._pool = pool
        self._media = media
        self._waitlist = waitlist
        self._options = options
        self._emit = emit
        self._open: dict[str, OpenJob] = {}
        self._renew_at = 0.0

    def __len__(self) -> int:
        return len(self._open)

    def has_any(self, model: str) -> bool:
        """Whether a job of the model is in work."""
        return any(self._model_of(item) == model for item in self._open.values())

    def admitted(self, model: str) -> list[Priority]:
        """The classes of which another job may begin: those less urgent do not stand in the way."""
        admitted: list[Priority] = []
        open_jobs: list[OpenJob] = []
        for kind in Priority:
            open_jobs += [item for item in self._open.values() if item.priority is kind]
            preparing = sum(item.preparation is not None for item in open_jobs)
            of_model = sum(self._model_of(item) == model for item in open_jobs)
            if preparing < PREPARATIONS and of_model < self._options.jobs_open:
                admitted.append(kind)
        return admitted

    def begin(self, job: Job) -> None:
        """A job that was claimed."""
        options = decoding(self._options.decoding, job.decoding)
        stored = self._store.chunks(job.id) if job.attempt > 1 else []
        open_job = self._open[job.id] = OpenJob.begin(job, stored, options)
        logger.info("job running", extra=_about(open_job))
        self._guard(open_job, partial(self._prepare, open_job))

    def renew_leases(self) -> None:
        now = time.monotonic()
        if now < self._renew_at:
            return
        self._renew_at = now + LEASE_S / 3
        for job_id, open_job in list(self._open.items()):
            if not self._store.renew(job_id, open_job.job.attempt, LEASE_S):
                self.close(job_id)

    def abandon(self) -> None:
        """Let go of all; the next start goes on with them."""
        for job_id in list(self._open):
            self.close(job_id, keep_files=True)

    def _model_of(self, open_job: OpenJob) -> str:
        return self._waitlist.model_of(open_job.job)

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
        self.close(open_job.job.id, keep_files=True)
        with suppress(OSError):
            self._blobs.delete_prepared(open_job.job.id)  # it is made anew, and may be what filled the disk
        self._waitlist.put_off(open_job.job, time.monotonic() + PUT_OFF_S)

    # Preparing -------------------------------------------------------------------------------------------------

    def media_said(self, child: Child, body: Mapping[str, Any]) -> None:
        """A media child's message; it may be one of a job that was let go of."""
        for open_job, preparation in self._preparing():
            if preparation.child is child:
                preparation.heard()
                self._guard(open_job, partial(self._media_said, open_job, body))

    def media_exited(self, exited: Exited) -> None:
        """A media child, or what begins them, has ended."""
        self._media.forget(exited.child)
        for open_job, preparation in self._preparing():
            if preparation.child is exited.child:
                self._guard(open_job, partial(self._media_died, open_job, exited.reason))

    def postpone(self, seconds: float) -> None:
        """This process was stopped for so long: what media children said meanwhile is still to be read."""
        for _, preparation in self._preparing():
            preparation.postpone(seconds)

    def end_overdue(self, now: float) -> None:
        """Fail the jobs of which the preparation takes too long."""
        message = "preparing the recording took too long; cut it into smaller files, or convert it to WAV or FLAC"
        for open_job, preparation in self._preparing():
            if now > preparation.deadline:
                self._guard(open_job, partial(self._fail, open_job, "media_timeout", message))

    def _preparing(self) -> list[tuple[OpenJob, Preparation]]:
        return [(item, item.preparation) for item in self._open.values() if item.preparation is not None]

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
            self._emit(StageEnded(open_job.job.id, "prepare", secs))
        open_job.preparation = None

    def _media_died(self, open_job: OpenJob, reason: str) -> None:
        self._emit(MediaProcessLost(open_job.job.id))
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
                self.close(job.id)
                return
            open_job.replan(chunk.index)
            known = rows[0]
        open_job.add_chunk(chunk)
        self._pool.add(self._model_of(open_job), open_job.hold(_work_item(open_job, chunk, alone=known.crashes > 0)))

    def _hear_out(self, open_job: OpenJob) -> None:
        """No more speech comes: chunks whose language waited for it wait no longer."""
        job, segments = open_job.job, open_job.tell()
        with suppress(StorageFull):  # what is to be stored of it is in the job's end, too
            if open_job.new_language:
                self._store.set_language(job.id, job.attempt, open_job.new_language)
            for segment in segments:
                self._store.append_event(job.id, job.attempt, "segment", segment)
        self._go_on(open_job)

    # Decoding --------------------------------------------------------------------------------------------------

    def order(self, batch: Sequence[WorkItem]) -> tuple[Mapping[str, Any], list[dict[str, Any]]]:
        """Options and chunks as the engine reads them; all of a batch have the same options."""
        return self._open[batch[0].job_id].decoding, [self._wire_chunk(item) for item in batch]

    def wants(self, item: WorkItem) -> bool:
        """Whether the attempt for which the chunk was given out still goes on."""
        open_job = self._open.get(item.job_id)
        return open_job is not None and open_job.job.attempt == item.attempt

    def learn(self, model: str, news: News) -> None:
        """What became of chunks that a model was given."""
        match news:
            case Results(items, results):
                self._decoded(model, items, results)
            case Refused(items, message):
                self._blame_input(model, items, message)
            case Lost(items, message, from_outside):
                self._blame(model, items, message, KILLS_ALLOWED if from_outside else FAULTS_ALLOWED)

    def _wire_chunk(self, item: WorkItem) -> dict[str, Any]:
        job, chunk = self._open[item.job_id].job, self._open[item.job_id].chunks[item.index]
        return {
            "path": str(self._blobs.prepared_path(job.id, job.attempt)),
            "pieces": [[piece.start, piece.end] for piece in chunk.pieces],
            "task": job.task.value,
            **self._open[item.job_id].ask(item.index),
        }

    def _decoded(self, model: str, items: Sequence[WorkItem], results: Sequence[Mapping[str, Any]]) -> None:
        wanted = [(item, result) for item, result in zip(items, results, strict=True) if self.wants(item)]
        for (item, _), accepted in zip(wanted, self._store_results(model, wanted), strict=True):
            open_job = self._open.get(item.job_id)
            if open_job is not None and not accepted:
                self.close(item.job_id)
            elif open_job is not None:
                self._go_on(open_job)
                self._guard(open_job, partial(self._finish_if_complete, open_job))

    def _go_on(self, open_job: OpenJob) -> None:
        """The first speech may have told the language: who only asked for that need not wait for the transcript."""
        if (choice := open_job.learn_language()) is not None:
            told = {"language": choice.language, "probability": round(choice.probability, 4)}
            with suppress(StorageFull):  # an event is no loss, the chunks that wait for the language would be
                self._store.append_event(open_job.job.id, open_job.job.attempt, "language", told)
        model = self._model_of(open_job)
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
        elif items and self.wants(items[0]):
            open_job = self._open[items[0].job_id]
            self._fail(open_job, "engine_input", f"a part of the recording cannot be decoded: {message}")

    def _blame(self, model: str, items: Sequence[WorkItem], message: str, allowed: int) -> None:
        """Count a crash for each chunk of the batch; one that was alone too often fails its job."""
        suspects = [item for item in items if self.wants(item)]
        counts = self._store.count_crashes(
            [(item.job_id, self._open[item.job_id].job.attempt, item.index) for item in suspects]
        )
        guilty = {
            item.job_id for item, count in zip(suspects, counts, strict=True) if count > allowed and len(items) == 1
        }
        self._pool.put_back(model, [item for item in suspects if item.job_id not in guilty], alone=True)
        for job_id in guilty:
            self._fail(self._open[job_id], "engine_crashed", f"a part of the recording ends the engine: {message}")

    # A job's end -----------------------------------------------------------------------------------------------

    def _finish_if_complete(self, open_job: OpenJob) -> None:
        if not open_job.complete:
            return
        job, began = open_job.job, time.monotonic()
        duration = open_job.duration or 0.0
        segments = self._transcript(open_job, duration)
        done = self._store.publish_done(
            job.id,
            job.attempt,
            json_of(segments),
            language=main_language(segments) or open_job.language,
            duration_secs=duration,
        )
        ended = time.monotonic()
        self._emit(StageEnded(job.id, "assemble", ended - began))
        self._emit(JobTranscribed(job.id, duration, ended - open_job.began, whole=not open_job.stored))
        about = {**_about(open_job), "duration_secs": duration, "chunks": len(open_job.chunks)}
        logger.info("job done", extra=about)
        self.close(job.id, status=JobStatus.DONE if done else None)

    def _transcript(self, open_job: OpenJob, duration: float) -> Sequence[Mapping[str, Any]]:
        if len(open_job.chunks) == 1:  # a clip's is what was told of its one chunk: no need to read and clean it again
            return open_job.heard[0]
        stored = self._store.chunks(open_job.job.id)
        return job_segments(
            assemble([(item.chunk, json.loads(item.result)) for item in stored if item.result is not None], duration)
        )

    def _fail(self, open_job: OpenJob, code: str, message: str) -> None:
        self._store.publish_failed(open_job.job.id, open_job.job.attempt, code, message)
        logger.warning("job failed: %s", message, extra={**_about(open_job), "code": code})
        self.close(open_job.job.id)

    def close(self, job_id: str, *, keep_files: bool = False, status: JobStatus | None = None) -> None:
        """Let go of a job: its child, its chunks, its files. Unknown ids are fine. `status`: the job's, where known."""
        open_job = self._open.pop(job_id, None)
        self._pool.remove(job_id)
        if open_job is not None and open_job.preparation is not None:
            self._media.stop(open_job.preparation)
        if not keep_files:
            self._waitlist.remove(job_id)
            if open_job is not None:
                self._blobs.delete_prepared(job_id, open_job.job.attempt)
            if self._audio_is_spent(job_id, status):
                self._blobs.delete(job_id)

    def _audio_is_spent(self, job_id: str, status: JobStatus | None) -> bool:
        """A failed job keeps its upload, so that it can be tried again."""
        try:
            status = status or self._store.get_job(job_id).status
        except JobNotFound:
            return True
        return status in (JobStatus.DONE, JobStatus.CANCELLED) and not self._options.keep_audio


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
