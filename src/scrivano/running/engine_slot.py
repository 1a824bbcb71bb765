"""One model on one device, loaded or not, and how fast it is there."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from scrivano.processes.messages import Load
from scrivano.running.engine_process import EngineProcess
from scrivano.running.model_state import Life, ModelState, Policy
from scrivano.running.model_status import EngineStatus, ModelStatus

__all__ = ["EngineSlot", "ModelSpec", "best_first", "status_of", "used"]

# The share of the newest batch in the running mean of seconds a chunk.
PACE_WEIGHT = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """A model that this server serves.

    `load`: the request for its engine, without the device index. `needed_mb`: memory for a load; `window_mb`: memory
    for each chunk of a batch. 0: not known. `max_chunk_s`: the most audio of a chunk. `batch_size`: chunks decoded
    together.
    """

    name: str
    load: Load = field(default_factory=Load)
    policy: Policy = field(default_factory=Policy)
    needed_mb: int = 0
    window_mb: int = 0
    max_chunk_s: float = 30.0
    batch_size: int = 4


class EngineSlot:
    """One model on one device, loaded or not. `gpu`: of this machine. `node`: the machine, in a cluster.

    `greedy`: a beam did not fit into memory; there is none until the model is loaded again. `suspects`: its
    current or next batch is one chunk that may crash it; it is decoded alone, so that no other chunk is suspected.
    `pace_s`: seconds a chunk, running mean; 0: not known. `used_at` is monotonic.
    """

    def __init__(self, spec: ModelSpec, gpu: int | None, process: EngineProcess, batch_limit: int) -> None:
        self.spec = spec
        self.gpu = gpu
        self.node: str | None = None
        self.process = process
        self.life = Life()
        self.download: Mapping[str, Any] | None = None
        self.batch_limit = batch_limit
        self.greedy = False
        self.suspects = False
        self.pace_s = 0.0
        self.used_at = 0.0
        self.has_work = False
        # Until `finish_by` these jobs go on although the model is to be unloaded.
        self.finishing: frozenset[str] = frozenset()
        self.finish_by = 0.0

    @property
    def ready(self) -> bool:
        return self.life.state is ModelState.READY and not self.life.unload_pending

    @property
    def about(self) -> dict[str, Any]:
        """For a line of the log."""
        about: dict[str, Any] = {"model": self.spec.name}
        if self.node is not None:
            return {**about, "node": self.node}
        return about if self.gpu is None else {**about, "gpu": self.gpu}

    def said(self, message: str) -> str:
        """A message of its engine, with the machine in a cluster."""
        return message if self.node is None else f"node {self.node}: {message}"

    def decoded(self, chunks: int, seconds: float) -> None:
        """A batch was decoded: it shows how long the next one will take."""
        pace_s = seconds / chunks
        self.pace_s = pace_s if not self.pace_s else self.pace_s + PACE_WEIGHT * (pace_s - self.pace_s)
        self.used_at = time.monotonic()

    def chunks_in(self, seconds: float) -> int:
        """How many chunks it decodes together in about so long."""
        if not self.pace_s:
            return self.batch_limit
        return max(1, min(self.batch_limit, int(seconds / self.pace_s)))


def best_first(slots: Iterable[EngineSlot]) -> list[EngineSlot]:
    return sorted(slots, key=lambda slot: slot.life.state.rank)


def used(slots: Iterable[EngineSlot]) -> list[EngineSlot]:
    """Those with an engine, the best ones first."""
    return best_first(slot for slot in slots if slot.life.state is not ModelState.UNLOADED)


def status_of(slots: Sequence[EngineSlot], *, clustered: bool) -> ModelStatus:
    """The state of a model is the best one of its engines."""
    best = best_first(slots)[0]
    devices = {slot.gpu: slot.life.state for slot in slots if slot.gpu is not None}
    engines = [EngineStatus(slot.node, slot.life.state) for slot in used(slots) if slot.gpu is None]
    return ModelStatus(best.life, best.download, devices, engines if clustered else ())
