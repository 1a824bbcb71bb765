"""Which job is begun next, and which chunks form the next batch. Pure: no clock, no thread; the same calls give the
same batches."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from scrivano.domain.job import Priority
from scrivano.running.language import VOTERS

# Audio that a job may put into a batch each time its turn comes: one window.
QUANTUM_S = 30.0

# Turns that a class lets the more urgent ones have before it gets one itself, however much waits there.
PATIENCE = {Priority.INTERACTIVE: 0, Priority.NORMAL: 4, Priority.BULK: 12}


# A job of which no more is left goes before the others of its class: it ends soon, and they lose little.
SHORT_CHUNKS = 2

# Where company costs time, a job's first chunks are in batches of no more: its first text waits for them, and where its
# language is not known, for all that vote on it.
FIRST_BATCH = 2

# Batches in a row that only such jobs may have while others wait.
SHORT_PATIENCE = 3


@dataclass(frozen=True, slots=True)
class WorkItem:
    """One chunk that waits for the engine. `alone`: in a batch of its own, since it was in one that failed.

    `group`: chunks of differing groups never share a batch, since they are decoded with differing options. `attempt` is
    the job's; what an ended attempt left in the engine is not taken for the next one's.
    """

    job_id: str
    index: int
    seconds: float
    alone: bool = False
    group: str = ""
    priority: Priority = Priority.NORMAL
    attempt: int = 0


@dataclass(slots=True)
class _Lane:
    """One job's waiting chunks and the audio seconds that it may still spend."""

    items: deque[WorkItem] = field(default_factory=deque)
    credit: float = 0.0


class _Patience:
    """Which of the waiting classes has the turn: the most urgent one, unless another has waited long enough."""

    def __init__(self) -> None:
        self._passed = dict.fromkeys(Priority, 0)

    def order(self, waiting: Collection[Priority]) -> list[Priority]:
        overdue = [kind for kind in waiting if self._passed[kind] >= PATIENCE[kind] > 0]
        first = max(overdue, key=lambda kind: self._passed[kind] - PATIENCE[kind], default=None)
        return sorted(waiting, key=lambda kind: (kind is not first, list(Priority).index(kind)))

    def took(self, served: Collection[Priority], waiting: Collection[Priority]) -> None:
        """One turn has gone; `waiting` are the classes that could have had it."""
        for kind in Priority:
            self._passed[kind] = self._passed[kind] + 1 if kind in waiting and kind not in served else 0


class Line:
    """Jobs that wait to be begun: urgent ones first, within a class in the order in which they came."""

    def __init__(self) -> None:
        self._queues: dict[Priority, deque[str]] = {kind: deque() for kind in Priority}
        self._patience = _Patience()

    def __len__(self) -> int:
        return sum(map(len, self._queues.values()))

    def add(self, job_id: str, priority: Priority) -> None:
        self._queues[priority].append(job_id)

    def remove(self, job_id: str) -> None:
        """Unknown ids are fine."""
        for waiting in self._queues.values():
            with suppress(ValueError):
                waiting.remove(job_id)

    def take(self, admitted: Collection[Priority]) -> str | None:
        """The next job of the classes for which there is room."""
        waiting = [kind for kind in Priority if kind in admitted and self._queues[kind]]
        if not waiting:
            return None
        kind = self._patience.order(waiting)[0]
        self._patience.took([kind], waiting)
        return self._queues[kind].popleft()


class Scheduler:
    """Classes by urgency, with patience; within a class, deficit round robin over jobs, counted in seconds of audio.

    However many chunks a job has, the others of its class get the same share of every batch, so a clip waits for one
    batch, never for somebody's ten-hour recording. The first job of the class whose turn it is says of which group the
    batch is; jobs of other groups keep their places. Within a job, chunks leave in the order in which they came.
    Jobs that are nearly done go first, a few batches in a row at most.

    `apart`: clips, and interactive jobs, get batches of their own, which are not filled up with others. On a CPU each
    chunk more makes a batch as much longer.
    """

    def __init__(self, *, apart: bool = False) -> None:
        self._apart = apart
        self._urgent: frozenset[str] = frozenset()
        self._company: frozenset[str] | None = None
        self._lanes: dict[str, _Lane] = {}
        self._complete: set[str] = set()
        self._favoured: frozenset[str] = frozenset()
        self._overtaken = 0
        self._turns: dict[Priority, deque[str]] = {kind: deque() for kind in Priority}
        self._patience = _Patience()

    def add(self, items: Iterable[WorkItem]) -> None:
        for item in items:
            self._lane(item).items.append(item)

    def put_back(self, items: Iterable[WorkItem]) -> None:
        """Return chunks that were given out but not decoded; they are the first of their jobs again."""
        for item in reversed(list(items)):
            self._lane(item).items.appendleft(item)

    def is_urgent(self, batch: Sequence[WorkItem]) -> bool:
        """Whether the last batch, which this is, has chunks that somebody waits for."""
        return any(item.job_id in self._urgent for item in batch)

    def complete(self, job_id: str) -> None:
        """All chunks of the job have been added, or come back by `put_back`."""
        self._complete.add(job_id)

    def remove(self, job_id: str) -> None:
        """Forget a job; unknown ids are fine."""
        self._complete.discard(job_id)
        self._drop(job_id)

    def next_batch(self, limit: int, calm_limit: int | None = None) -> list[WorkItem]:
        """Take up to `limit` chunks. Empty when nothing waits.

        `calm_limit`: for a batch that does not begin with urgent ones, which may come while it is decoded.
        """
        waiting = [kind for kind in Priority if self._turns[kind]]
        short, long = self._short_and_long()
        patient = self._overtaken < SHORT_PATIENCE
        self._favoured = frozenset(short if patient else long)
        self._urgent = frozenset(self._brief(short).union(self._turns[Priority.INTERACTIVE]) if patient else ())
        self._company = None
        fronts = {kind: self._next(kind, None) for kind in waiting}
        order = self._patience.order(waiting)
        if calm_limit is not None and order and (front := fronts[order[0]]) not in self._urgent:
            begins = self._apart and front is not None and self._lanes[front].items[0].index < VOTERS
            limit = min(calm_limit, FIRST_BATCH) if begins else calm_limit
        batch: list[WorkItem] = []
        for kind in order:
            batch.extend(self._in_turn(kind, limit - len(batch), batch[0] if batch else None))
            if batch[0].alone:
                break
        # A class has had its turn when the job had it that was first in it: the others may just have been of the group.
        took = {item.job_id for item in batch}
        self._patience.took([kind for kind, front in fronts.items() if front in took], waiting)
        self._overtaken = self._overtaken + 1 if long and not took & long else 0
        return batch

    def next_urgent(self, limit: int, calls_limit: int) -> list[WorkItem]:
        """Take up to `limit` clips, else up to `calls_limit` chunks of interactive jobs, to be decoded beside another
        batch; no class loses a turn by that. Chunks that are to be alone are left for `next_batch`."""
        short, _ = self._short_and_long()
        clips, calls = self._in_company(self._brief(short)), self._in_company(self._turns[Priority.INTERACTIVE])
        self._company, limit = (clips, limit) if clips else (calls, calls_limit)
        batch: list[WorkItem] = []
        for kind in Priority:
            batch.extend(self._in_turn(kind, limit - len(batch), batch[0] if batch else None))
        return batch

    def _in_company(self, job_ids: Iterable[str]) -> frozenset[str]:
        """Those of which the next chunk is not to be alone."""
        return frozenset(job_id for job_id in job_ids if not self._lanes[job_id].items[0].alone)

    def _short_and_long(self) -> tuple[set[str], set[str]]:
        """The jobs that are nearly done, and the others."""
        short = {
            job_id
            for job_id, lane in self._lanes.items()
            if job_id in self._complete and len(lane.items) <= SHORT_CHUNKS
        }
        return short, self._lanes.keys() - short

    def _brief(self, short: Collection[str]) -> set[str]:
        """Of the jobs that are nearly done those that never had more: clips, for which somebody waits."""
        return {job_id for job_id in short if self._lanes[job_id].items[-1].index < SHORT_CHUNKS}

    def _drop(self, job_id: str) -> None:
        if self._lanes.pop(job_id, None) is not None:
            for turns in self._turns.values():
                with suppress(ValueError):
                    turns.remove(job_id)

    def _lane(self, item: WorkItem) -> _Lane:
        if item.job_id not in self._lanes:
            self._lanes[item.job_id] = _Lane()
            self._turns[item.priority].append(item.job_id)
        return self._lanes[item.job_id]

    def _in_turn(self, kind: Priority, room: int, like: WorkItem | None) -> Iterator[WorkItem]:
        """Up to `room` chunks of a class that may share a batch with `like`; None: with the first one."""
        while room > 0 and (job_id := self._next(kind, like)) is not None:
            if like is None and self._apart and job_id in self._urgent:
                self._company = self._urgent
            lane = self._lanes[job_id]
            if lane.credit <= 0:
                lane.credit += QUANTUM_S
            while room > 0 and lane.credit > 0 and lane.items and _fits(lane.items[0], like):
                like = lane.items.popleft()
                lane.credit -= like.seconds
                room = 0 if like.alone else room - 1
                yield like
            if not lane.items:
                self._drop(job_id)
            elif lane.credit <= 0:
                self._turns[kind].remove(job_id)
                self._turns[kind].append(job_id)
                self._favoured -= {job_id}

    def _next(self, kind: Priority, like: WorkItem | None) -> str | None:
        """The job whose turn it is among those that fit, the favoured ones first."""
        company = self._company
        jobs = [job_id for job_id in self._turns[kind] if company is None or job_id in company]
        fitting = [job_id for job_id in jobs if _fits(self._lanes[job_id].items[0], like)]
        return min(fitting, key=lambda job_id: job_id not in self._favoured, default=None)


def _fits(item: WorkItem, like: WorkItem | None) -> bool:
    """Whether a chunk may share a batch with another."""
    return like is None or (item.group == like.group and not item.alone and not like.alone)
