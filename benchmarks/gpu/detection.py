"""The small ONNX networks beside Whisper, on the CPU and, where onnxruntime has it, on CUDA."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from benchmarks.gpu.check import Check
from benchmarks.gpu.results import Row
from benchmarks.load import timed
from scrivano.media.chunking import WINDOW
from scrivano.media.silero_vad import CONTEXT

CUDA, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"

# A minute of windows of 32 ms, in one call.
WINDOWS = 1875

# What the dimensions of the speakers' networks mean: 1.5 s of features every 0.75 s, and 10 s of samples every 5 s.
SPEAKERS = {"campplus": (80, 150), "segmentation": (11, 160_000)}

NUMBERS = {"tensor(float)": np.float32, "tensor(int64)": np.int64}


def detection(check: Check) -> Iterator[Row]:
    for path in networks():
        for provider in (CPU, CUDA):
            yield _network(path, provider)


def networks() -> list[Path]:
    """All networks in the package."""
    return sorted(Path(str(files("scrivano"))).rglob("*.onnx"))


def _network(path: Path, provider: str) -> Row:
    name = f"{path.parent.name}/{path.name}: a minute of audio, {provider.removesuffix('ExecutionProvider')}"
    if provider not in onnxruntime.get_available_providers():
        return Row(name=name, skipped=f"this onnxruntime has no {provider}")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(path.read_bytes(), options, providers=[provider])
    if provider not in session.get_providers():
        return Row(name=name, skipped=f"onnxruntime cannot load {provider}, so it would use the CPU")
    sizes = SPEAKERS.get(path.stem, (WINDOWS, CONTEXT + WINDOW))
    given = {one.name: _noise(one, sizes) for one in session.get_inputs()}
    session.run(None, given)
    best = min(timed(lambda: session.run(None, given)) for _ in range(2))
    shapes = ", ".join(f"{name} {' by '.join(map(str, value.shape))}" for name, value in given.items())
    return Row(name=name, value=1000 * best, unit="ms", detail=shapes)


def _noise(one: Any, sizes: tuple[int, int]) -> np.ndarray[Any, Any]:
    """An input; `sizes`: its dimensions that are not fixed, in their order."""
    free = iter(sizes)
    shape = [size if isinstance(size, int) else next(free, 1) for size in one.shape]
    return np.random.default_rng(1).standard_normal(shape).astype(NUMBERS[one.type])
