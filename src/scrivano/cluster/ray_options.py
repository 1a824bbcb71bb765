"""What the actors of a dispatcher ask a Ray cluster for. Plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from scrivano.cluster.node_child import NodeOptions

__all__ = ["RayOptions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RayOptions:
    """What actors ask for. `node`: what they run; its `kind` and `needed_mb` are set for each.

    `engine_labels`: labels that the node of an engine must have. `media_cpus`: also those of the speakers child.
    """

    node: NodeOptions
    engine_cpus: float = 1.0
    engine_gpus: float = 0.0
    engine_labels: Mapping[str, str] = field(default_factory=dict)
    media_cpus: float = 1.0
