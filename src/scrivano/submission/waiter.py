"""Wait for a job to end, or for a model to load.

A job whose caller waits is as durable as any other: if the caller disconnects, the job continues, and the same request
sent again gets the same job.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from anyio.to_thread import run_sync

from scrivano.domain.errors import (
    JobCancelled,
    JobFailed,
    JobNotFound,
    JobTerminal,
    ModelLacksMemory,
    ModelUnavailable,
    NoDispatcher,
    RecordingRefused,
    ScrivanoError,
    ServerStopping,
    WorkerGone,
)
from scrivano.domain.job import JobStatus
from scrivano.domain.job_event import JobEvent
from scrivano.domain.transcript import Segment, Transcript, segment_from_dict
from scrivano.running.executor import Executor, model_for
from scrivano.running.model_state import A_PLACE, Life, ModelState
from scrivano.store.jobs import JobStore
from scrivano.store.wake_ups import MODEL, WakeUps, wait_at_most

__all__ = ["Language", "Waiter"]

# A waiting call fails after so many failed loads in a row. Between them are pauses of one and two seconds.
MAX_FAILED_LOADS = 3

# Jobs with these errors would fail again. They are bad requests (400), so that no client repeats the upload.
REFUSED_CODES = frozenset({"not_media", "no_audio", "too_long", "media_timeout", "media_crashed", "engine_input"})


@dataclass(frozen=True, slots=True)
class Language:
    """`code` is Whisper's; `probability` from 0 to 1. `probabilities`: of the likeliest languages, by their codes."""

    code: str
    probability: float
    probabilities: Mapping[str, float] = field(default_factory=dict)


# What Whisper takes for the likeliest language when it hears nothing at all.
NO_AUDIO = Language("en", 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiter:
    """`gpu_wait_s`: a call waits so long for a model that lacks GPU memory or a dispatcher; None: as long as it takes.

    `check_interval_s`: no wake-up says that the runner has ended, so waiting calls check it this often.
    """

    store: JobStore
    executor: Executor
    wake_ups: WakeUps
    gpu_wait_s: float | None = None
    check_interval_s: float = 5.0

    async def transcript(self, job_id: str) -> Transcript:
        """Wait for the job to end, however long it takes; returns its transcript.

        Raises `RecordingRefused`, `JobFailed`, `JobCancelled`; `JobNotFound` if it was deleted meanwhile; and what
        `_check_running` does if it cannot end in this process.
        """
        async for _ in self.follow(job_id):
            pass
        return await run_sync(self.stored_transcript, job_id)

    async def segments(self, job_id: str) -> AsyncIterator[Segment]:
        """Segments as they become known, until the job has ended. Raises what `follow` does."""
        async for event in self.follow(job_id):
            if event.type == "segment":
                yield segment_from_dict(event.data)

    async def detected_language(self, job_id: str) -> Language:
        """The language of the first speech, without speech the model's guess. Then the job is cancelled.

        Raises what `transcript` does.
        """
        async for event in self.follow(job_id):
            if event.type == "language":
                await run_sync(self._cancel, job_id)
                return _language(event)
        await run_sync(self.stored_transcript, job_id)
        return NO_AUDIO

    async def stored_language(self, job_id: str) -> Language:
        """What was detected in an ended job. Where nothing was, because there is no speech, its probability is 0."""
        events = await run_sync(self.store.events_after, job_id, 0)
        return next((_language(event) for event in reversed(events) if event.type == "language"), NO_AUDIO)

    async def follow(self, job_id: str) -> AsyncIterator[JobEvent]:
        """The job's events, from the first one until the job has ended.

        Raises `JobNotFound`, and what `_check_running` does; all errors have the job's id.
        """
        seq = 0
        since = time.monotonic()
        with self.wake_ups.watch(job_id) as changed:
            try:
                while True:
                    changed.clear()
                    # The job is read before its events: if it has ended by then, its events are complete.
                    job = await run_sync(self.store.get_job, job_id)
                    for event in await run_sync(self.store.events_after, job_id, seq):
                        seq = event.seq
                        yield event
                    if job.status.terminal:
                        return
                    self._check_running(job.model, since)
                    await wait_at_most(changed, self.check_interval_s)
            except ScrivanoError as error:
                error.job_id = job_id
                raise

    async def is_readable(self, job_id: str) -> bool:
        """Whether a part of the recording has been decoded. Raises `JobNotFound`."""
        return (await run_sync(self.store.get_job, job_id)).duration_secs is not None

    async def load_model(self, model: str | None) -> None:
        """Load a model (None: the default one) and wait until it is ready. Raises what `_check_running` does."""
        self.executor.load(model)
        since = time.monotonic()
        with self.wake_ups.watch(MODEL) as changed:
            while self._model_life(model).state is not ModelState.READY:
                self._check_running(model, since)
                await wait_at_most(changed, self.check_interval_s)
                changed.clear()

    def _check_running(self, model: str | None, since: float) -> None:
        """Whether it makes sense to wait for work of this model (None: the default one) in this process.

        `since`: when the caller began to wait, monotonic. Raises `ServerStopping`; `WorkerGone`; `ModelUnavailable` if
        the model could not be loaded several times; and what `_check_wait` does.
        """
        if self.wake_ups.stopping:
            raise ServerStopping
        if not self.executor.alive:
            raise WorkerGone
        life = self._model_life(model)
        if life.state is ModelState.UNLOADED and life.failures >= MAX_FAILED_LOADS:
            raise ModelUnavailable(f"the model cannot be loaded; the job waits for it: {life.last_error}")
        self._check_wait(life, since)

    def _check_wait(self, life: Life, since: float) -> None:
        """Raises `NoDispatcher`, `ModelLacksMemory`: the job stays queued, but its caller needs to know the reason."""
        if self.gpu_wait_s is None:
            return
        now = time.monotonic()
        if life.unserved_since is not None:
            waited_s = now - max(since, life.unserved_since)
            if waited_s >= self.gpu_wait_s:
                raise NoDispatcher(waited_s)
        if life.lacking_since is not None:
            waited_s = now - max(since, life.lacking_since)
            if waited_s >= self.gpu_wait_s:
                raise ModelLacksMemory(_lack(life, waited_s))

    def _model_life(self, model: str | None) -> Life:
        return self.executor.models[model_for(self.executor, model)].life

    def _cancel(self, job_id: str) -> None:
        with suppress(JobTerminal, JobNotFound):
            self.store.cancel(job_id)
            self.executor.cancel(job_id)

    def stored_transcript(self, job_id: str) -> Transcript:
        """The transcript of an ended job. Raises `RecordingRefused`, `JobFailed`, `JobCancelled`, `JobNotFound`."""
        job = self.store.get_job(job_id)
        if job.status is JobStatus.CANCELLED:
            raise JobCancelled(job.id)
        if job.status is JobStatus.FAILED:
            code, message = job.error_code or "internal", job.error or "the job failed"
            raise (RecordingRefused if code in REFUSED_CODES else JobFailed)(job.id, code, message)
        segments = json.loads(self.store.get_result(job.id) or b"[]")
        return job.transcript([segment_from_dict(segment) for segment in segments], self.store.turns(job.id))


def _language(event: JobEvent) -> Language:
    return Language(event.data["language"], event.data["probability"], event.data.get("probabilities", {}))


def _lack(life: Life, waited_s: float) -> str:
    if life.queued:
        return f"the model has waited {waited_s:.0f} s for {A_PLACE}; the job stays queued"
    return (
        f"the model has waited {waited_s:.0f} s for GPU memory: it needs {life.vram_needed_mb} MB, and"
        f" {life.vram_free_mb} MB are free; the job stays queued. End the program that uses the memory, or choose a"
        " smaller model (WHISPER_MODEL)"
    )
