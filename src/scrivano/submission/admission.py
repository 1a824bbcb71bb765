"""Refuse a job that cannot be accepted now: the worker has ended, the model is not ready, the queue is full."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from anyio.to_thread import run_sync

from scrivano.auth.keys import Caller
from scrivano.domain.errors import ModelNotReady, WorkerGone
from scrivano.running.executor import Executor
from scrivano.running.model_state import ModelState
from scrivano.store.jobs import JobStore
from scrivano.submission.job_request import JobRequest
from scrivano.submission.model_names import ServedModels
from scrivano.webhooks.sender import WebhookSender

__all__ = ["Admission"]

# Seconds after which a caller is asked to try again. The first leaves time for a download, the second for a load.
RETRY_AFTER_SECS = {ModelState.UNLOADED: 30, ModelState.LOADING: 10}


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """`models`: those that are served, the default one first. `queue_always`: jobs may always wait for their model.
    `max_queue` None: no limit. `gpu_poll_interval_secs`: when to try again if the GPU lacks memory."""

    store: JobStore
    executor: Executor
    webhooks: WebhookSender
    models: ServedModels
    queue_always: bool
    max_queue: int | None
    gpu_poll_interval_secs: int

    def check_worker(self) -> None:
        """Raises `WorkerGone`."""
        if not self.executor.alive:
            raise WorkerGone

    def check_model(self, job_request: JobRequest, *, may_wait: bool) -> None:
        """Whether the job can be accepted in the model's present state. `may_wait`: it may wait for its model.

        If the model is not loaded, this starts its load. The webhook URL is registered even for a refused job, because
        its caller waits for the model. Raises `WorkerGone`, `ModelNotReady`.
        """
        self.check_worker()
        if job_request.webhook_url:
            self.webhooks.register(job_request.webhook_url)
        life = self.executor.models[job_request.model or self.models[0]].life
        state = life.state
        if state is not ModelState.READY and not (may_wait or self.queue_always):
            self.executor.load(job_request.model)
            retry_after_secs = RETRY_AFTER_SECS.get(state, self.gpu_poll_interval_secs)
            raise ModelNotReady(state.value, retry_after_secs, life.last_error)

    async def check_queue(self, job_request: JobRequest, caller: Caller) -> None:
        """Whether a job that waits for its model would be accepted. Raises `WorkerGone`, `QueueFull`, `LimitReached`.

        For uploads in several requests: before the first byte is sent, and again when the last one has arrived.
        """
        self.check_worker()
        await run_sync(self.store.check_capacity, self.max_queue, caller.owner, caller.limits)
        if job_request.webhook_url:
            self.webhooks.register(job_request.webhook_url)

    @contextmanager
    def uploading(self) -> Iterator[None]:
        """The model is not unloaded while an upload that may need it arrives."""
        self.executor.upload_began()
        try:
            yield
        finally:
            self.executor.upload_ended()
