"""What is shown of a model: its state, and that of its engines. Pure data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from scrivano.running.model_state import Life, ModelState

__all__ = ["EngineStatus", "ModelStatus"]


@dataclass(frozen=True, slots=True)
class EngineStatus:
    """One engine in a cluster; `node` None: it has no place yet."""

    node: str | None
    state: ModelState


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """What a request may see of a model. `download`: the newest progress of a download.

    `devices`: each GPU of this machine that it uses, and the state there; empty on a CPU. `engines`: those that were
    started in a cluster.
    """

    life: Life
    download: Mapping[str, Any] | None = None
    devices: Mapping[int, ModelState] = field(default_factory=dict)
    engines: Sequence[EngineStatus] = ()
