"""The jobs that wait in a database that several servers share. Pure: times are given, and what was found there."""

from __future__ import annotations

from collections.abc import Collection

from scrivano.domain.job import Job, Priority
from scrivano.running.ageing import Ageing
from scrivano.running.job_queue import JobQueue

__all__ = ["SharedQueue"]


class SharedQueue(JobQueue):
    """Knows of which classes jobs may wait. Which job is next, the database says when it is claimed.

    A job that names a model waits for a server that has it; one that names none is for the first model of each server.
    """

    def __init__(self, models: list[str]) -> None:
        super().__init__(models)
        self._waiting: dict[str, set[Priority]] = {model: set() for model in models}
        self._ageing = {model: Ageing() for model in models}

    def names_of(self, model: str) -> list[str | None]:
        """The models that jobs for this one name; None: none."""
        return [model, None] if model == self._default else [model]

    def found(self, model: str, priorities: Collection[Priority]) -> None:
        """Jobs of these classes wait."""
        self._waiting[model] |= set(priorities)

    def has_any(self, model: str) -> bool:
        return bool(self._waiting[model])

    def add(self, job: Job) -> str:
        model = self.model_of(job)
        self._waiting[model].add(job.priority)
        return model

    def next_class(self, model: str, admitted: Collection[Priority]) -> Priority | None:
        """The class whose turn it is; None: no job may start."""
        waiting = [priority for priority in Priority if priority in admitted and priority in self._waiting[model]]
        if not waiting:
            return None
        priority = self._ageing[model].order(waiting)[0]
        self._ageing[model].served([priority], waiting)
        return priority

    def none_left(self, model: str, priority: Priority) -> None:
        self._waiting[model].discard(priority)
