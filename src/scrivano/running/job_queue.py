"""The jobs that wait to be started: a queue for each model, and those that were put off. Pure: times are given."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Sequence
from contextlib import suppress

from scrivano.domain.job import Job, Priority
from scrivano.running.ageing import Ageing

__all__ = ["JobQueue"]


class JobQueue:
    """`models`: those that are served. A job that names another model, or none, is for the first one."""

    def __init__(self, models: Sequence[str]) -> None:
        self._default = models[0]
        self._queues = {model: _ModelQueue() for model in models}
        self._put_off: dict[str, tuple[float, Job]] = {}

    def model_of(self, job: Job) -> str:
        return job.model if job.model in self._queues else self._default

    def has_any(self, model: str) -> bool:
        """Jobs that were put off do not count."""
        return len(self._queues[model]) > 0

    def add(self, job: Job) -> str:
        """Returns the model that the job is for."""
        model = self.model_of(job)
        self._queues[model].add(job.id, job.priority)
        return model

    def take(self, model: str, admitted: Collection[Priority]) -> str | None:
        """Remove the next job of these classes; returns its id."""
        return self._queues[model].take(admitted)

    def put_off(self, job: Job, until_s: float) -> None:
        """The job waits until then before it can be taken again."""
        self._put_off[job.id] = (until_s, job)

    def due(self, now_s: float) -> list[Job]:
        """Jobs whose time has come; they stay put off until `resume`."""
        return [job for until_s, job in self._put_off.values() if now_s > until_s]

    def resume(self, job: Job) -> None:
        """Queue a job again that was put off."""
        del self._put_off[job.id]
        self.add(job)

    def remove(self, job_id: str) -> None:
        """Forget a waiting job. Unknown ids are fine; jobs that were put off stay so."""
        for queue in self._queues.values():
            queue.remove(job_id)


class _ModelQueue:
    """Urgent jobs first, with ageing; within a class in the order in which they came."""

    def __init__(self) -> None:
        self._queues: dict[Priority, deque[str]] = {priority: deque() for priority in Priority}
        self._ageing = Ageing()

    def __len__(self) -> int:
        return sum(map(len, self._queues.values()))

    def add(self, job_id: str, priority: Priority) -> None:
        self._queues[priority].append(job_id)

    def remove(self, job_id: str) -> None:
        for queue in self._queues.values():
            with suppress(ValueError):
                queue.remove(job_id)

    def take(self, admitted: Collection[Priority]) -> str | None:
        waiting = [priority for priority in Priority if priority in admitted and self._queues[priority]]
        if not waiting:
            return None
        priority = self._ageing.order(waiting)[0]
        self._ageing.served([priority], waiting)
        return self._queues[priority].popleft()
