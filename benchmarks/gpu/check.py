"""What a stage gets: sizes, device, folders, deadline."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from benchmarks import material
from benchmarks.shapes import LARGE_SHAPES, write_model

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much each stage does. Lengths of audio are in seconds.

    `tokens`: the words that the random models return for a window. `served_shape`: the model of the servers.
    `word_recordings`: how many recordings the words are compared over; 0: all.
    """

    shapes: tuple[str, ...]
    served_shape: str
    compute_types: tuple[str, ...]
    batches: tuple[int, ...]
    at_once_batches: tuple[int, ...]
    tokens: int
    clip_tokens: int
    speech_s: float
    job_s: float
    clips: int
    clip_every_s: float
    prepared_s: float
    preparing: tuple[int, ...]
    word_recordings: int = 0


FULL = Size(
    shapes=("large-v3-turbo", "large-v3", "distil-large-v3"),
    served_shape="large-v3-turbo",
    compute_types=("float16", "int8_float16"),
    batches=(1, 4, 16, 32, 64),
    at_once_batches=(16, 32),
    tokens=96,
    clip_tokens=32,
    speech_s=3600,
    job_s=600,
    clips=64,
    clip_every_s=0.5,
    prepared_s=1800,
    preparing=(1, 4, 16),
)

SMALL = Size(
    shapes=("mini-128",),
    served_shape="mini-128",
    compute_types=("int8",),
    batches=(1, 2),
    at_once_batches=(1,),
    tokens=8,
    clip_tokens=8,
    speech_s=40,
    job_s=40,
    clips=2,
    clip_every_s=0.5,
    prepared_s=60,
    preparing=(1,),
    word_recordings=2,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """`device`: `cpu` or `cuda`. `scratch`: a folder that the stages share. `deadline`: monotonic seconds."""

    device: str
    size: Size
    scratch: Path
    deadline: float = field(default=float("inf"))

    @property
    def on_gpu(self) -> bool:
        return self.device == "cuda"

    @property
    def left_s(self) -> float:
        return self.deadline - time.monotonic()

    def model(self, shape: str, tokens: int) -> Path:
        """A model of this shape, written if no stage has done so before."""
        return self._made(f"{shape}-{tokens}", lambda path: write_model(path, LARGE_SHAPES[shape], tokens))

    def speech(self, seconds: float, suffix: str = "flac") -> Path:
        return self._made(f"speech-{seconds:.0f}.{suffix}", lambda path: material.speech(path, seconds))

    def clip(self) -> Path:
        return self._made("clip.wav", material.clip)

    def _made(self, name: str, make: Callable[[Path], Path]) -> Path:
        """A stage that is killed while it makes a file must not leave half of it to the next."""
        path = self.scratch / name
        if not path.exists():
            begun = self.scratch / f"begun-{name}"
            make(begun)
            begun.rename(path)
        return path


def until(condition: Callable[[], T | None], timeout_s: float, what: str) -> T:
    """Wait until `condition` returns something true, and return it. Raises `TimeoutError`."""
    end = time.monotonic() + timeout_s
    while not (found := condition()):
        if time.monotonic() > end:
            raise TimeoutError(f"after {timeout_s:.0f} s still not: {what}")
        time.sleep(0.02)
    return found
