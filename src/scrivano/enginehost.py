"""The engine child and the one batch that it works on."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scrivano.processes import Child, Exited, Message
from scrivano.scheduler import WorkItem


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineLimits:
    """Wall clock after which a silent engine is taken for hung.

    `load_s` counts anew at each progress report of a download. `chunk_s` is for each chunk of a batch.
    """

    load_s: float = 900.0
    chunk_s: float = 600.0


@dataclass(frozen=True, slots=True)
class Batch:
    id: int
    items: tuple[WorkItem, ...]


class EngineHost:
    """At most one engine child. Watched by deadlines: a heartbeat would go on beating while a kernel hangs."""

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
        self._batches = 0
        self.child: Child | None = None
        self.batch: Batch | None = None
        self.deadline: float | None = None

    def start(self) -> None:
        self.child = Child("engine", self._command, self._deliver, self._environment)
        self.child.send({"type": "load", **self._load})
        self.loading()

    def loading(self) -> None:
        """The load advances."""
        self.deadline = time.monotonic() + self._limits.load_s

    def ready(self) -> None:
        self.deadline = None

    def decode(
        self, items: Sequence[WorkItem], options: Mapping[str, Any], chunks: Sequence[Mapping[str, Any]]
    ) -> None:
        """Give the engine its next batch; the answer carries the batch's id."""
        assert self.child is not None
        self._batches += 1
        self.batch = Batch(self._batches, tuple(items))
        self.deadline = time.monotonic() + self._limits.chunk_s * len(items)
        self.child.send({"type": "decode", "id": self.batch.id, "options": options, "chunks": chunks})

    def take_batch(self) -> tuple[WorkItem, ...]:
        """The chunks of the batch that has ended, one way or the other; empty when there was none."""
        batch, self.batch, self.deadline = self.batch, None, None
        return batch.items if batch else ()

    def kill(self) -> tuple[WorkItem, ...]:
        """End the child; returns the chunks that it was working on."""
        if self.child is not None:
            self.child.kill()
            self.child = None
        return self.take_batch()
