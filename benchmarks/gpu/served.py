"""W1 to W3 through the server on the device, and faster-whisper beside it with the same model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path

from benchmarks import material
from benchmarks.device_memory import Peak, device_memory
from benchmarks.figures import quantile
from benchmarks.gpu.check import Check
from benchmarks.gpu.results import Row
from benchmarks.load import Together, with_arrivals
from benchmarks.servers import Placement, RequestOptions, System
from benchmarks.workloads import BATCHED, Systems, together

# Requests that are compared: Scrivano determines the times of words by default, faster-whisper does not.
WORDS, NO_WORDS = RequestOptions(words=True), RequestOptions(words=False)

# Scrivano's settings that are compared on a GPU.
SETTINGS: tuple[Mapping[str, str], ...] = (
    {},
    {"BATCH_SIZE": "32"},
    {"BATCH_SIZE": "64"},
    {"COMPUTE_TYPE": "int8_float16"},
)


def placement(check: Check, batch_size: int = 16) -> Placement:
    compute_type = check.size.compute_types[0]
    return Placement(device=check.device, compute_type=compute_type, batch_size=batch_size if check.on_gpu else 2)


def long_speech(check: Check) -> Iterator[Row]:
    """W1: one long recording."""
    path, clip = check.speech(check.size.speech_s), check.clip()
    model = check.model(check.size.served_shape, check.size.tokens)
    read = device_memory(check.device)
    makers: dict[str, Callable[[Systems], System]] = {
        _named(setting): partial(_scrivano, setting) for setting in SETTINGS[: None if check.on_gpu else 1]
    }
    makers[BATCHED] = lambda systems: systems.faster_whisper("batched")
    for name, make in makers.items():
        with ExitStack() as stack:
            before = read()
            system = make(Systems(model, stack, placement(check)))
            for ask, words in ((WORDS, "word times"), (NO_WORDS, "no word times")):
                system.transcribe(clip, ask)
                with Peak(read) as peak:
                    took = together(system, [path], ask)
                detail = f"{peak.mb - before:,.0f} MB more memory"
                yield _row(f"W1 {name}, {words}", check.size.speech_s, took, detail)


def _named(setting: Mapping[str, str]) -> str:
    return ", ".join(["Scrivano", *(f"{name}={value}" for name, value in setting.items())])


def _scrivano(setting: Mapping[str, str], systems: Systems) -> System:
    return systems.scrivano(**setting)


def clips_at_once(check: Check) -> Iterator[Row]:
    """W2: many clips at once, the language given."""
    paths = material.clips(check.scratch, check.size.clips)
    model = check.model(check.size.served_shape, check.size.clip_tokens)
    for name, system, stack in _beside(check, model):
        with stack:
            system.transcribe(paths[0], NO_WORDS)
            took = together(system, paths, NO_WORDS)
        yield _row(f"W2 {name}", 10.0 * len(paths), took, _waits(took))


def clips_beside_a_long_job(check: Check) -> Iterator[Row]:
    """W3: a long recording, and clips that arrive meanwhile."""
    path, clip = check.speech(check.size.speech_s), check.clip()
    model = check.model(check.size.served_shape, check.size.tokens)
    for name, system, stack in _beside(check, model):
        with stack:
            system.transcribe(clip, NO_WORDS)
            long, short = (partial(system.transcribe, one, NO_WORDS) for one in (path, clip))
            before = system.cpu_seconds()
            took = with_arrivals(long, short, check.size.clip_every_s)
            took = replace(took, cpu=system.cpu_seconds() - before)
        yield _row(f"W3 {name}, the long job", check.size.speech_s, took, _waits(took))


def _beside(check: Check, model: Path) -> Iterator[tuple[str, System, ExitStack]]:
    """One system after the other, so that each has the device to itself."""
    makers: Mapping[str, tuple[str, str] | None] = {
        "Scrivano": None,
        "one at a time, batched": ("batched", "lock"),
        "thread pool, batched": ("batched", "threads"),
    }
    for name, engine in makers.items():
        stack = ExitStack()
        systems = Systems(model, stack, placement(check))
        yield name, systems.faster_whisper(*engine) if engine else systems.scrivano(), stack


def _row(name: str, audio_s: float, took: Together, detail: str) -> Row:
    return Row(
        name=name,
        value=audio_s / took.seconds,
        unit="x real time",
        detail=f"{audio_s:.0f} s of audio in {took.seconds:.2f} s, {took.cpu:.1f} s of processor time; {detail}",
        data={"seconds": took.seconds, "cpu": took.cpu, "waits": took.waits},
    )


def _waits(took: Together) -> str:
    if not took.waits:
        return "no clip arrived"
    return f"clips wait {quantile(took.waits, 0.5):.2f} s (95 %: {quantile(took.waits, 0.95):.2f} s, {len(took.waits)})"
