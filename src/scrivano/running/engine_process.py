"""One engine child and the batches that it was given."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from scrivano.domain.decoding import DecodingOptions
from scrivano.processes.child import Child, Exited, Process, Received
from scrivano.processes.messages import ChunkRequest, Decode, EngineMessage, EngineRequest, Load, encoder, parser
from scrivano.running.scheduler import WorkItem

__all__ = ["Batch", "EngineLimits", "EngineProcess"]

# Until a batch of speech was decoded, a chunk is expected to take this many times as long as the warm-up, which is on
# silence. (`base` on two cores: 5.)
SPEECH_TO_WARM_UP = 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineLimits:
    """Wall clock after which a silent engine counts as hung.

    `load_s` starts again at each progress report of a download. `chunk_s`: the most that a batch may take for each of
    its chunks. A batch may take `slack` times as long for each chunk as the slowest batch so far, and at least
    `least_s`; before there was one, the warm-up gives the pace. (A chunk that is sampled at all of Whisper's
    temperatures takes about ten times as long as an easy one; a batch takes as long as its slowest chunk.)
    """

    load_s: float = 900.0
    chunk_s: float = 600.0
    least_s: float = 60.0
    slack: float = 25.0

    def batch_s(self, chunks: int, slowest_s: float) -> float:
        """`slowest_s`: seconds a chunk of the slowest batch so far; 0: not known."""
        most = self.chunk_s * chunks
        return min(most, max(self.least_s, self.slack * slowest_s * chunks)) if slowest_s else most


@dataclass(frozen=True, slots=True)
class Batch:
    id: int
    items: tuple[WorkItem, ...]


class EngineProcess:
    """At most one engine child.

    It works on the first of its batches while the others wait in its pipe, and at the same time on one in its urgent
    slot. It is watched by deadlines: a heartbeat would go on while a kernel hangs.
    """

    def __init__(
        self,
        start: Callable[[], Process],
        load: Load,
        limits: EngineLimits,
        deliver: Callable[[Received[EngineMessage] | Exited[EngineMessage]], None],
    ) -> None:
        self._start = start
        self._load = load
        self._limits = limits
        self._deliver = deliver
        self._parse: Callable[[bytes], EngineMessage] = parser(EngineMessage)
        self._encode: Callable[[EngineRequest], bytes] = encoder(EngineRequest)
        self._last_id = 0
        self._slowest_s = 0.0
        self._warm_up_s = 0.0
        self.child: Child[EngineMessage] | None = None
        self.pid: int | None = None
        self.batches: deque[Batch] = deque()
        self.urgent_batch: Batch | None = None
        self._deadline: float | None = None
        self._urgent_deadline: float | None = None

    def start(self) -> None:
        process = self._start()
        self.child, self.pid = Child("engine", process, self._parse, self._deliver), process.pid
        self.child.send(self._encode(self._load))
        self.load_progressed()

    def queued(self) -> None:
        """The child does not run yet."""
        self._deadline = None

    def load_progressed(self) -> None:
        self._deadline = time.monotonic() + self._limits.load_s

    def loaded(self, warm_up_s: float) -> None:
        """`warm_up_s` 0: not measured."""
        self._warm_up_s = warm_up_s
        self._deadline = None

    @property
    def busy(self) -> bool:
        return bool(self.batches or self.urgent_batch)

    @property
    def deadline(self) -> float | None:
        """Monotonic. A child that is silent until then counts as hung."""
        return min((at for at in (self._deadline, self._urgent_deadline) if at is not None), default=None)

    def decode(
        self,
        items: Sequence[WorkItem],
        options: DecodingOptions,
        chunks: Sequence[ChunkRequest],
        *,
        urgent: bool = False,
    ) -> None:
        """Give the engine one more batch; its answer carries the id. `urgent`: at the same time as the first batch."""
        assert self.child is not None
        self._last_id += 1
        batch = Batch(self._last_id, tuple(items))
        if urgent:
            self.urgent_batch, self._urgent_deadline = batch, self._due(batch)
        else:
            self.batches.append(batch)
            if len(self.batches) == 1:
                self._deadline = self._due(batch)
        options = replace(options, urgent=urgent)
        self.child.send(self._encode(Decode(id=batch.id, options=options, chunks=tuple(chunks))))

    def postpone(self, seconds: float) -> None:
        """This process was stopped for so long: what the child sent meanwhile is still to be read."""
        if self._deadline is not None:
            self._deadline += seconds
        if self._urgent_deadline is not None:
            self._urgent_deadline += seconds

    def answered(self, batch_id: int | None, seconds: float = 0.0) -> tuple[WorkItem, ...]:
        """The child works on that batch no more. Returns its chunks; empty if the child did not work on it.

        `seconds`: how long decoding it took; 0: it was not decoded.
        """
        first = self.batches[0] if self.batches else None
        batch = next((one for one in (first, self.urgent_batch) if one is not None and one.id == batch_id), None)
        if batch is None:
            return ()
        self._slowest_s = max(self._slowest_s, seconds / len(batch.items))
        if batch is self.urgent_batch:
            self.urgent_batch = self._urgent_deadline = None
        else:
            self.batches.popleft()
            self._deadline = self._due(self.batches[0]) if self.batches else None
        return batch.items

    def kill(self) -> tuple[tuple[WorkItem, ...], list[tuple[WorkItem, ...]]]:
        """Kill the child; returns the chunks that it was working on, and the batches that waited."""
        if self.child is not None:
            self.child.kill()
            self.child = self.pid = None
        first, *waiting = [batch.items for batch in self.batches] or [()]
        urgent = self.urgent_batch.items if self.urgent_batch else ()
        self.batches.clear()
        self.urgent_batch = self._deadline = self._urgent_deadline = None
        return (*first, *urgent), waiting

    def _due(self, batch: Batch) -> float:
        """The deadline of a batch that starts now."""
        pace_s = self._slowest_s or SPEECH_TO_WARM_UP * self._warm_up_s
        return time.monotonic() + self._limits.batch_s(len(batch.items), pace_s)
