"""The jobs that wait to be begun: a line for each model, and those that were put off. Pure: times are given."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from scrivano.domain.job import Job, Priority
from scrivano.running.scheduler import Line

__all__ = ["Waitlist"]


class Waitlist:
    """`models`: those that are served; a job whose model is none of them is for the first one."""

    def __init__(self, models: Sequence[str]) -> None:
        self._default = models[0]
        self._lines = {model: Line() for model in models}
        self._put_off: dict[str, tuple[float, Job]] = {}

    def model_of(self, job: Job) -> str:
        return job.model if job.model in self._lines else self._default

    def has_any(self, model: str) -> bool:
        """Those that were put off do not count."""
        return bool(self._lines[model])

    def add(self, job: Job) -> None:
        self._lines[self.model_of(job)].add(job.id, job.priority)

    def take(self, model: str, admitted: Collection[Priority]) -> str | None:
        """The id of the model's next job of these classes, which waits no longer."""
        return self._lines[model].take(admitted)

    def put_off(self, job: Job, until: float) -> None:
        self._put_off[job.id] = (until, job)

    def due(self, now: float) -> list[Job]:
        """The jobs that were put off until then; they stay so until they are resumed."""
        return [job for until, job in self._put_off.values() if now > until]

    def resume(self, job: Job) -> None:
        """A job that was put off waits again."""
        del self._put_off[job.id]
        self.add(job)

    def remove(self, job_id: str) -> None:
        """It waits no longer. Unknown ids are fine, and what was put off stays so."""
        for line in self._lines.values():
            line.remove(job_id)
