"""Which chunks form the next batch. Pure: no clock, no thread; the same calls give the same batches."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from scrivano.domain.decoding import DecodingOptions
from scrivano.domain.job import Priority
from scrivano.running.ageing import Ageing
from scrivano.running.language import VOTERS

__all__ = ["Scheduler", "WorkItem"]

# Audio that a job may add to a batch at each of its turns: one window.
QUANTUM_S = 30.0

# Where a larger batch takes longer (on a CPU), a job's first chunks are in batches of at most this size: its first text
# waits for them, and, while its language is not known, for all chunks that vote on it.
FIRST_BATCH = 2

# Batches in a row that may hold short jobs only, while others wait.
SHORT_BATCHES = 3

DEFAULT_OPTIONS = DecodingOptions()


@dataclass(frozen=True, slots=True)
class WorkItem:
    """A chunk to decode. `alone`: in a batch of its own, because a batch that it was in failed.

    Chunks with different `options` never share a batch. `attempt` is that of the job: what an ended attempt left in an
    engine is not taken for the next one's.
    """

    job_id: str
    index: int
    seconds: float
    alone: bool = False
    options: DecodingOptions = DEFAULT_OPTIONS
    priority: Priority = Priority.NORMAL
    attempt: int = 0


@dataclass(slots=True)
class _Waiting:
    """The waiting chunks of one job, and the seconds of audio that it may still add in this turn."""

    items: deque[WorkItem] = field(default_factory=deque)
    credit_s: float = 0.0


class Scheduler:
    """Classes by urgency, with ageing; within a class, deficit round robin over jobs, counted in seconds of audio.

    However many chunks a job has, the others of its class get the same share of every batch, so a clip waits for one
    batch, never for a ten-hour recording. The first job of the class whose turn it is decides with which options the
    batch is decoded; jobs with other options keep their places. Within a job, chunks leave in the order in which they
    came. Jobs with at most `short_chunks` left go first, for a few batches in a row at most: they end soon, and the
    others lose little.

    `separate_urgent`: clips and interactive jobs get batches of their own, which are not filled up with other work. On
    a CPU each additional chunk makes a batch longer by its own time.
    """

    def __init__(self, *, separate_urgent: bool = False, short_chunks: int = 2) -> None:
        self._separate_urgent = separate_urgent
        self.short_chunks = short_chunks
        self._jobs: dict[str, _Waiting] = {}
        self._turns: dict[Priority, deque[str]] = {priority: deque() for priority in Priority}
        self._ageing = Ageing()
        self._complete: set[str] = set()
        self._short_batches = 0
        # For the batch that is being formed: the jobs that go first, the urgent ones, and, unless None, the only ones
        # that may be in it.
        self._preferred: frozenset[str] = frozenset()
        self._urgent: frozenset[str] = frozenset()
        self._allowed: frozenset[str] | None = None

    def add(self, items: Iterable[WorkItem]) -> None:
        for item in items:
            self._waiting(item).items.append(item)

    def count(self) -> int:
        """How many chunks wait."""
        return sum(len(job.items) for job in self._jobs.values())

    def put_back(self, items: Iterable[WorkItem]) -> None:
        """Return chunks that were taken but not decoded; they are the first of their jobs again."""
        for item in reversed(list(items)):
            self._waiting(item).items.appendleft(item)

    def is_urgent(self, batch: Sequence[WorkItem]) -> bool:
        """Whether a caller waits for one of its chunks. `batch` must be the last one taken."""
        return any(item.job_id in self._urgent for item in batch)

    def complete(self, job_id: str) -> None:
        """All chunks of the job have been added, or come back by `put_back`."""
        self._complete.add(job_id)

    def remove(self, job_id: str) -> None:
        """Forget a job; unknown ids are fine."""
        self._complete.discard(job_id)
        self._drop(job_id)

    def next_batch(self, limit: int, calm_limit: int | None = None) -> list[WorkItem]:
        """Take up to `limit` chunks; none if none wait.

        `calm_limit`: for a batch that does not begin with urgent chunks, which may come while it is decoded.
        """
        if not self._jobs:
            return []
        waiting = [priority for priority in Priority if self._turns[priority]]
        short, long = self._short_and_long()
        short_first = self._short_batches < SHORT_BATCHES
        self._preferred = frozenset(short if short_first else long)
        self._urgent = frozenset(self._clips(short).union(self._turns[Priority.INTERACTIVE]) if short_first else ())
        self._allowed = None
        fronts = {priority: self._next(priority, None) for priority in waiting}
        order = self._ageing.order(waiting)
        if calm_limit is not None and order and (front := fronts[order[0]]) not in self._urgent:
            begins = self._separate_urgent and front is not None and self._jobs[front].items[0].index < VOTERS
            limit = min(calm_limit, FIRST_BATCH) if begins else calm_limit
        batch: list[WorkItem] = []
        for priority in order:
            batch.extend(self._take(priority, limit - len(batch), batch[0] if batch else None))
            if batch[0].alone:
                break
        # A class has had its turn when its first job had it: the others may just have had the same options.
        taken = {item.job_id for item in batch}
        self._ageing.served([priority for priority, front in fronts.items() if front in taken], waiting)
        self._short_batches = self._short_batches + 1 if long and not taken & long else 0
        return batch

    def next_urgent(self, limit: int, calls_limit: int) -> list[WorkItem]:
        """Take up to `limit` clips, else up to `calls_limit` chunks of interactive jobs, for an engine's urgent slot.

        No class loses a turn by that. Chunks that are to be alone are left for `next_batch`.
        """
        short, _ = self._short_and_long()
        clips = self._shareable(self._clips(short))
        calls = self._shareable(self._turns[Priority.INTERACTIVE])
        self._allowed, limit = (clips, limit) if clips else (calls, calls_limit)
        batch: list[WorkItem] = []
        for priority in Priority:
            batch.extend(self._take(priority, limit - len(batch), batch[0] if batch else None))
        return batch

    @property
    def waiting_jobs(self) -> Collection[str]:
        return self._jobs.keys()

    def waiting_count(self, job_id: str) -> int | None:
        """How many chunks of the job wait; None: more may come."""
        if job_id not in self._complete:
            return None
        return len(self._jobs[job_id].items) if job_id in self._jobs else 0

    def next_of(self, job_ids: Iterable[str], limit: int) -> list[WorkItem]:
        """Take up to `limit` chunks of these jobs only; no class loses a turn by that."""
        self._allowed = frozenset(job_id for job_id in job_ids if job_id in self._jobs)
        batch: list[WorkItem] = []
        for priority in Priority:
            if not batch or not batch[0].alone:
                batch.extend(self._take(priority, limit - len(batch), batch[0] if batch else None))
        return batch

    def _shareable(self, job_ids: Iterable[str]) -> frozenset[str]:
        """Those whose next chunk may share a batch."""
        return frozenset(job_id for job_id in job_ids if not self._jobs[job_id].items[0].alone)

    def _short_and_long(self) -> tuple[set[str], set[str]]:
        """The jobs that are nearly done, and the others."""
        short = {
            job_id
            for job_id, waiting in self._jobs.items()
            if job_id in self._complete and len(waiting.items) <= self.short_chunks
        }
        return short, self._jobs.keys() - short

    def _clips(self, short: Collection[str]) -> set[str]:
        """Of the jobs that are nearly done, those that never had more chunks."""
        return {job_id for job_id in short if self._jobs[job_id].items[-1].index < self.short_chunks}

    def _drop(self, job_id: str) -> None:
        if self._jobs.pop(job_id, None) is not None:
            for turns in self._turns.values():
                with suppress(ValueError):
                    turns.remove(job_id)

    def _waiting(self, item: WorkItem) -> _Waiting:
        if item.job_id not in self._jobs:
            self._jobs[item.job_id] = _Waiting()
            self._turns[item.priority].append(item.job_id)
        return self._jobs[item.job_id]

    def _take(self, priority: Priority, limit: int, like: WorkItem | None) -> Iterator[WorkItem]:
        """Up to `limit` chunks of a class that may share a batch with `like`; None: with the first one."""
        while limit > 0 and (job_id := self._next(priority, like)) is not None:
            if like is None and self._separate_urgent and job_id in self._urgent:
                self._allowed = self._urgent
            waiting = self._jobs[job_id]
            if waiting.credit_s <= 0:
                waiting.credit_s += QUANTUM_S
            while limit > 0 and waiting.credit_s > 0 and waiting.items and _fits(waiting.items[0], like):
                like = waiting.items.popleft()
                waiting.credit_s -= like.seconds
                limit = 0 if like.alone else limit - 1
                yield like
            if not waiting.items:
                self._drop(job_id)
            elif waiting.credit_s <= 0:
                self._turns[priority].remove(job_id)
                self._turns[priority].append(job_id)
                self._preferred -= {job_id}

    def _next(self, priority: Priority, like: WorkItem | None) -> str | None:
        """The job whose turn it is among those that fit, preferred ones first."""
        allowed = self._allowed
        jobs = [job_id for job_id in self._turns[priority] if allowed is None or job_id in allowed]
        fitting = [job_id for job_id in jobs if _fits(self._jobs[job_id].items[0], like)]
        return min(fitting, key=lambda job_id: job_id not in self._preferred, default=None)


def _fits(item: WorkItem, like: WorkItem | None) -> bool:
    """Whether a chunk may share a batch with another."""
    return like is None or (item.options == like.options and not item.alone and not like.alone)
