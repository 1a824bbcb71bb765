"""What a runner has in hand. Pure data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from scrivano.running.model_state import ModelState

__all__ = ["Workload"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """`engines`: how many of a model are in a state, without those that are unloaded. `waiting_chunks`: of each model,
    those that no engine has."""

    jobs: int = 0
    engines: Mapping[tuple[str, ModelState], int] = field(default_factory=dict)
    waiting_chunks: Mapping[str, int] = field(default_factory=dict)
    media_children: int = 0
    speakers_children: int = 0
