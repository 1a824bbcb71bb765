"""One engine child and the batches that it was given."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scrivano.processes.child import Child, Exited, Message, Spawned
from scrivano.running.scheduler import WorkItem

# How many times as long as its warm-up, on silence, a model is taken to need for a chunk of speech, until one was
# decoded. (`base` on two cores: 5.)
SPEECH = 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineLimits:
    """Wall clock after which a silent engine is taken for hung.

    `load_s` counts anew at each progress report of a download. `chunk_s` is for each chunk of a batch: the most that it
    may get. A batch gets `patience` times as long as the slowest one so far took for each of its chunks, and at least
    `least_s`; before there was one, the model's warm-up tells its pace. (A chunk that is sampled at all of Whisper's
    temperatures takes about ten times as long as an easy one; a batch takes as long as its slowest chunk.)
    """

    load_s: float = 900.0
    chunk_s: float = 600.0
    least_s: float = 60.0
    patience: float = 25.0

    def batch_s(self, chunks: int, slowest_s: float) -> float:
        """`slowest_s`: seconds a chunk of the slowest batch so far; 0: nothing is known."""
        most = self.chunk_s * chunks
        return min(most, max(self.least_s, self.patience * slowest_s * chunks)) if slowest_s else most


@dataclass(frozen=True, slots=True)
class Batch:
    id: int
    items: tuple[WorkItem, ...]


class EngineHost:
    """At most one engine child. It works on the first of its batches, the others wait in its pipe; and on one `beside`.

    Watched by deadlines: a heartbeat would go on beating while a kernel hangs.
    """

    def __init__(
        self,
        command: Sequence[str],
        load: Mapping[str, Any],
        limits: EngineLimits,
        deliver: Callable[[Message | Exited], None],
        environment: Mapping[str, str],
    ) -> None:
        self._environment = environment
        self._command = command
        self._load = load
        self._limits = limits
        self._deliver = deliver
        self._given = 0
        self._slowest_s = 0.0
        self._warm_up_s = 0.0
        self.child: Child | None = None
        self.pid: int | None = None
        self.batches: deque[Batch] = deque()
        self.beside: Batch | None = None
        self._deadline: float | None = None
        self._deadline_beside: float | None = None

    def start(self) -> None:
        process = Spawned(self._command, self._environment)
        self.child, self.pid = Child("engine", process, self._deliver), process.pid
        self.child.send({"type": "load", **self._load})
        self.loading()

    def loading(self) -> None:
        """The load advances."""
        self._deadline = time.monotonic() + self._limits.load_s

    def ready(self, warm_up_s: float) -> None:
        """The model is loaded; 0: it did not say how long its warm-up took."""
        self._warm_up_s = warm_up_s
        self._deadline = None

    @property
    def busy(self) -> bool:
        return bool(self.batches or self.beside)

    @property
    def deadline(self) -> float | None:
        """When the child, if it has said nothing, is taken for hung."""
        return min((at for at in (self._deadline, self._deadline_beside) if at is not None), default=None)

    def decode(
        self,
        items: Sequence[WorkItem],
        options: Mapping[str, Any],
        chunks: Sequence[Mapping[str, Any]],
        *,
        beside: bool = False,
    ) -> None:
        """Give the engine one more batch; the answer carries the batch's id. `beside`: while it decodes the first."""
        assert self.child is not None
        self._given += 1
        batch = Batch(self._given, tuple(items))
        if beside:
            self.beside, self._deadline_beside = batch, self._due(batch)
        else:
            self.batches.append(batch)
            if len(self.batches) == 1:
                self._deadline = self._due(batch)
        self.child.send({"type": "decode", "id": batch.id, "options": options, "chunks": chunks, "beside": beside})

    def took(self, chunks: int, seconds: float) -> None:
        """A batch was decoded; call it before `take`, which begins to watch the next one."""
        self._slowest_s = max(self._slowest_s, seconds / chunks)

    def postpone(self, seconds: float) -> None:
        if self._deadline is not None:
            self._deadline += seconds
        if self._deadline_beside is not None:
            self._deadline_beside += seconds

    def working_on(self, batch_id: int) -> tuple[WorkItem, ...]:
        """The chunks of that batch; empty where the child does not work on it."""
        working = (*list(self.batches)[:1], *filter(None, [self.beside]))
        return next((batch.items for batch in working if batch.id == batch_id), ())

    def take(self, batch_id: int) -> tuple[WorkItem, ...]:
        """As `working_on`; the batch was answered."""
        items = self.working_on(batch_id)
        if self.beside is not None and self.beside.id == batch_id:
            self.beside = self._deadline_beside = None
        elif items:
            self.batches.popleft()
            self._deadline = self._due(self.batches[0]) if self.batches else None
        return items

    def kill(self) -> tuple[tuple[WorkItem, ...], list[tuple[WorkItem, ...]]]:
        """End the child; returns the chunks that it was working on, and the batches that waited."""
        if self.child is not None:
            self.child.kill()
            self.child = self.pid = None
        first, *waiting = [batch.items for batch in self.batches] or [()]
        beside = self.beside.items if self.beside else ()
        self.batches.clear()
        self.beside = self._deadline = self._deadline_beside = None
        return (*first, *beside), waiting

    def _due(self, batch: Batch) -> float:
        """When a batch that is begun now is late."""
        pace_s = self._slowest_s or SPEECH * self._warm_up_s
        return time.monotonic() + self._limits.batch_s(len(batch.items), pace_s)
