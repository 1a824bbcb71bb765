"""What runs jobs, as the rest of a server sees it: this process, or dispatchers elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from scrivano.domain.job import Job
from scrivano.running.model_status import ModelStatus

__all__ = ["Executor", "model_for"]


class Executor(Protocol):
    """Methods are thread-safe and return at once, except `take_up`, `start` and `stop`."""

    def take_up(self) -> None:
        """Read which jobs an earlier process has left. Before `start`."""

    def start(self) -> None: ...

    def drain(self) -> None:
        """The server stops: nothing new. May be called from a signal handler."""

    def stop(self, timeout_s: float = 8.0) -> None: ...

    @property
    def alive(self) -> bool:
        """False once it has ended, for good."""

    @property
    def stuck(self) -> bool:
        """Whether it lives and makes no progress."""

    @property
    def shares_jobs(self) -> bool:
        """Whether others may run the jobs of the store, too, with models whose state is not known here."""

    @property
    def pids(self) -> Sequence[int]:
        """The processes of this machine that have the models."""

    @property
    def models(self) -> Mapping[str, ModelStatus]:
        """Every model that this server serves; the first one is used where none is named."""

    @property
    def model(self) -> ModelStatus: ...

    def submit(self, job: Job) -> None:
        """A job was committed to the store, or is to be tried again."""

    def cancel(self, job_id: str) -> None:
        """A job was cancelled in the store: drop it."""

    def cancelled_elsewhere(self, job_id: str) -> None:
        """Another server has cancelled a job; if it runs here, drop it."""

    def look(self) -> None:
        """Jobs may wait in the shared database."""

    def look_at_models(self) -> None:
        """What dispatchers and servers tell each other about models may have changed."""

    def load(self, model: str | None = None) -> None:
        """None: the first one."""

    def unload(self, model: str | None = None) -> None:
        """None: all of them."""

    def upload_began(self) -> None:
        """An upload is under way: do not unload before it has become a job. Pair with `upload_ended`."""

    def upload_ended(self) -> None: ...


def model_for(executor: Executor, name: str | None) -> str:
    """The model of a job that names `name`, which an earlier configuration may have served; None: the first one."""
    models = executor.models
    return name if name is not None and name in models else next(iter(models))
