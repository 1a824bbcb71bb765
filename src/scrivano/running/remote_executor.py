"""A server whose jobs dispatchers run: it knows the state of their models from the database, and asks by it."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial

from scrivano.domain.errors import NO_DISPATCHER, DatabaseUnreachable, JobNotFound, StorageFull, WriteConflict
from scrivano.domain.job import Job
from scrivano.files.blobs import Recordings
from scrivano.running import model_state
from scrivano.running.engine_pool import PublishModelEvent
from scrivano.running.model_reports import joined, status_of
from scrivano.running.model_state import Life
from scrivano.running.model_status import ModelStatus
from scrivano.running.recordings import is_spent
from scrivano.store.dispatchers import DispatcherStore, ModelAction
from scrivano.store.jobs import JobStore

__all__ = ["RemoteExecutor"]

logger = logging.getLogger(__name__)

# The net under the notices.
POLL_S = 2.0

# The same load is not asked for again so soon.
LOAD_AGAIN_S = 2.0


class RemoteExecutor:
    """Implements `Executor`, with one thread.

    `models`: those that are served, the default one first; `publish`: events of that one. `keep_audio`: as in
    `JobRunOptions`.
    """

    # The models of all dispatchers are known.
    shares_jobs = False
    stuck = False
    pids: Sequence[int] = ()

    def __init__(
        self,
        models: Sequence[str],
        store: JobStore,
        dispatchers: DispatcherStore,
        blobs: Recordings,
        publish: PublishModelEvent,
        *,
        keep_audio: bool,
    ) -> None:
        self._names = models
        self._store = store
        self._dispatchers = dispatchers
        self._blobs = blobs
        self._publish = publish
        self._keep_audio = keep_audio
        self._inbox: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="executor", daemon=True)
        self._stopping = False
        self._load_asked_at: dict[str | None, float] = {}
        self.alive = True
        self.models: Mapping[str, ModelStatus] = dict.fromkeys(models, _nobody(time.monotonic()))

    @property
    def model(self) -> ModelStatus:
        return self.models[self._names[0]]

    def take_up(self) -> None:
        """The dispatchers do."""

    def start(self) -> None:
        with suppress(DatabaseUnreachable):
            self._refresh()
        self._thread.start()

    def drain(self) -> None:
        """Nothing runs here."""

    def stop(self, timeout_s: float = 8.0) -> None:
        self._stopping = True
        self.look_at_models()
        if self._thread.is_alive():
            self._thread.join(timeout_s)
        self.alive = False

    def submit(self, job: Job) -> None:
        """The store has told the dispatchers."""

    def cancel(self, job_id: str) -> None:
        self._inbox.put(partial(self._delete_spent, job_id))

    def cancelled_elsewhere(self, job_id: str) -> None:
        """Nothing runs here."""

    def look(self) -> None:
        """No job is claimed here."""

    def look_at_models(self) -> None:
        self._inbox.put(self._refresh)

    def load(self, model: str | None = None) -> None:
        now = time.monotonic()
        if now - self._load_asked_at.get(model, -LOAD_AGAIN_S) >= LOAD_AGAIN_S:
            self._load_asked_at[model] = now
            self._ask("load", model)

    def unload(self, model: str | None = None) -> None:
        self._load_asked_at.clear()
        self._ask("unload", model)

    def upload_began(self) -> None:
        """A dispatcher loads the model when the job is there."""

    def upload_ended(self) -> None:
        """See `upload_began`."""

    def _ask(self, action: ModelAction, model: str | None) -> None:
        self._inbox.put(partial(self._dispatchers.request, action, model))

    def _run(self) -> None:
        while not self._stopping:
            action = self._refresh
            with suppress(queue.Empty):
                action = self._inbox.get(timeout=POLL_S)
            try:
                action()
            except (DatabaseUnreachable, StorageFull, WriteConflict) as error:
                logger.warning("dispatchers cannot be reached: %s", error)
            except Exception:
                logger.exception("a fault in what is known of dispatchers")

    def _refresh(self) -> None:
        now = time.monotonic()
        reports = self._dispatchers.reports()
        found = {
            name: [
                status_of(report.models[name], now=now, age_s=report.age_s)
                for report in reports
                if name in report.models
            ]
            for name in self._names
        }
        before = self.model.life.state
        self.models = {
            name: joined(statuses) if statuses else _nobody(self.models[name].life.unserved_since or now)
            for name, statuses in found.items()
        }
        life = self.model.life
        if life.state is not before:
            self._publish(life.state.event, model_state.payload(life.state.event, life, now=now))

    def _delete_spent(self, job_id: str) -> None:
        """The recording of a job that was cancelled before a dispatcher took it. One that runs ends there."""
        with suppress(JobNotFound):
            job = self._store.get_job(job_id)
            if not is_spent(job, job.status, self._keep_audio):
                return
        self._blobs.delete(job_id)


def _nobody(since: float) -> ModelStatus:
    return ModelStatus(Life(last_error=NO_DISPATCHER, unserved_since=since))
