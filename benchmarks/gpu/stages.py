"""The stages, the most important ones first, and their limits on a GPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from benchmarks.gpu.check import Check, Size
from benchmarks.gpu.detection import detection
from benchmarks.gpu.device import device
from benchmarks.gpu.lifecycle import lack_of_memory, lifecycle
from benchmarks.gpu.preparation import preparation
from benchmarks.gpu.results import Row
from benchmarks.gpu.served import clips_at_once, clips_beside_a_long_job, long_speech
from benchmarks.gpu.sweep import sweep
from benchmarks.gpu.words import words


@dataclass(frozen=True, slots=True)
class Stage:
    """`limit_s`: after this time its process is killed."""

    name: str
    limit_s: float
    run: Callable[[Check], Iterator[Row]]


def stages(size: Size) -> list[Stage]:
    first, *others = size.shapes
    return [
        Stage("device", 120, device),
        Stage("words", 40, words),
        Stage("server", 50, lifecycle),
        _sweep(first, 50),
        Stage("w1", 60, long_speech),
        Stage("lack of memory", 45, lack_of_memory),
        *(_sweep(shape, 65 if shape == "large-v3" else 25) for shape in others),
        Stage("w2", 30, clips_at_once),
        Stage("w3", 30, clips_beside_a_long_job),
        Stage("preparation", 20, preparation),
        Stage("detection", 30, detection),
    ]


def _sweep(shape: str, limit_s: float) -> Stage:
    return Stage(f"shape {shape}", limit_s, partial(sweep, shape=shape))
