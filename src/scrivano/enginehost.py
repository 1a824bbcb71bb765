"""One engine child and the batches that it was given."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scrivano.processes import Child, Exited, Message, Spawned
from scrivano.scheduler import WorkItem

SPEECH = 4.0
"""How many times as long as its warm-up, on silence, a model is taken to need for a chunk of speech, until one was
decoded. (`base` on two cores: 5.)"""


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
    """At most one engine child. It works on the first of its batches; the others wait in its pipe.

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
        self.deadline: float | None = None

    def start(self) -> None:
        process = Spawned(self._command, self._environment)
        self.child, self.pid = Child("engine", process, self._deliver), process.pid
        self.child.send({"type": "load", **self._load})
        self.loading()

    def loading(self) -> None:
        """The load advances."""
        self.deadline = time.monotonic() + self._limits.load_s

    def ready(self, warm_up_s: float) -> None:
        """The model is loaded; 0: it did not say how long its warm-up took."""
        self._warm_up_s = warm_up_s
        self.deadline = None

    def decode(
        self, items: Sequence[WorkItem], options: Mapping[str, Any], chunks: Sequence[Mapping[str, Any]]
    ) -> None:
        """Give the engine one more batch; the answer carries the batch's id."""
        assert self.child is not None
        self._given += 1
        self.batches.append(Batch(self._given, tuple(items)))
        if len(self.batches) == 1:
            self._watch()
        self.child.send({"type": "decode", "id": self._given, "options": options, "chunks": chunks})

    def took(self, chunks: int, seconds: float) -> None:
        """A batch was decoded; call it before `take`, which begins to watch the next one."""
        self._slowest_s = max(self._slowest_s, seconds / chunks)

    def postpone(self, seconds: float) -> None:
        if self.deadline is not None:
            self.deadline += seconds

    def take(self, batch_id: int) -> tuple[WorkItem, ...]:
        """The chunks of the batch that was answered; empty where that is not the one that it works on."""
        if not self.batches or self.batches[0].id != batch_id:
            return ()
        items = self.batches.popleft().items
        self._watch()
        return items

    def kill(self) -> list[tuple[WorkItem, ...]]:
        """End the child; returns its batches' chunks, those first that it was working on."""
        if self.child is not None:
            self.child.kill()
            self.child = self.pid = None
        items = [batch.items for batch in self.batches]
        self.batches.clear()
        self.deadline = None
        return items

    def _watch(self) -> None:
        """The first batch is the engine's work from now on."""
        self.deadline = None
        if self.batches:
            pace_s = self._slowest_s or SPEECH * self._warm_up_s
            self.deadline = time.monotonic() + self._limits.batch_s(len(self.batches[0].items), pace_s)
