"""W1 to W4: Scrivano and typical servers, alternately, with the same recordings and the same model folder."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import material
from benchmarks.figures import Figure, at_least, at_most, quantile, ratio
from benchmarks.load import Together, at_once, interleaved, timed, with_arrivals
from benchmarks.servers import FasterWhisper, Placement, RequestOptions, Scrivano, System, baseline, scrivano
from benchmarks.shapes import LARGE_SHAPES, RANDOM, SHAPES, write_model
from scrivano.engines.catalog import NANO_FOLDER

# Words that the random models return for a window: as many as people speak in 30 s, and in 10 s.
SPEECH_TOKENS, CLIP_TOKENS = 96, 32

# W3: seconds between two clips.
EVERY_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How much of each workload. `ggml`, `ggml_nano`: files for whisper.cpp, base shape and bundled model."""

    speech_s: float = 300.0
    clips: int = 20
    arrivals_s: float = 600.0
    rounds: int = 2
    ggml: Path | None = None
    ggml_nano: Path | None = None


LARGE = Scale(speech_s=3600.0, clips=100, arrivals_s=3600.0, rounds=1)

Samples = dict[str, Any]


class Bench:
    """The folders of a run's models and recordings, and its measurements, which are added to `samples`."""

    def __init__(self, folder: Path, scale: Scale) -> None:
        self.folder = folder
        self.scale = scale
        self.samples: Samples = {}

    def model(self, shape: str, tokens: int) -> Path:
        if shape == "nano":
            return NANO_FOLDER
        folder = self.folder / f"{shape}-{tokens}"
        return folder if folder.exists() else write_model(folder, {**SHAPES, **LARGE_SHAPES}[shape], tokens)

    def speech(self, seconds: float) -> Path:
        path = self.folder / f"speech-{seconds:.0f}.mp3"
        return path if path.exists() else material.speech(path, seconds)


CPU = Placement()


class Systems:
    """The running servers of one workload. Only one of them gets requests at a time."""

    def __init__(self, model: Path, stack: ExitStack, placement: Placement = CPU) -> None:
        self._model = model
        self._stack = stack
        # Random weights are unsure, and their words are nowhere: Scrivano would decode short windows again in full, and
        # take all speech for holes.
        random = {"REPAIR_SHARE": "0", "LATENCY": "normal"} if (model / RANDOM).exists() else {}
        self._settings = {**placement.settings, **random}
        self._placement = placement
        self._baselines: dict[str, Any] = {}

    def scrivano(self, **environment: str) -> Scrivano:
        return self._stack.enter_context(scrivano(self._model, **{**self._settings, **environment}))

    def faster_whisper(self, engine: str, concurrency: str = "lock") -> FasterWhisper:
        if concurrency not in self._baselines:
            self._baselines[concurrency] = self._stack.enter_context(
                baseline(self._model, concurrency, self._placement)
            )
        return FasterWhisper(self._baselines[concurrency], engine)


BATCHED, SEQUENTIAL = "faster-whisper batched", "faster-whisper sequential"


def long_speech(bench: Bench) -> Iterator[Figure]:
    """W1: one recording, times real time."""
    for shape in ("nano", "tiny", "base"):
        yield from _long_speech(bench, shape)


def _long_speech(bench: Bench, shape: str) -> Iterator[Figure]:
    path, group = bench.speech(bench.scale.speech_s), f"W1 {shape}"
    seconds = bench.scale.speech_s
    with ExitStack() as stack:
        works = {
            name: partial(together, system, [path], ask)
            for name, (system, ask) in _long_systems(bench, shape, stack).items()
        }
        works[SEQUENTIAL]()  # Warm-up.
        taken = interleaved(works, bench.scale.rounds)
    bench.samples[group] = {name: [asdict(one) for one in rounds] for name, rounds in taken.items()}
    goal = at_least(1.6) if shape == "base" else None
    base = taken[BATCHED]
    for name, rounds in taken.items():
        times = [one.seconds for one in rounds]
        spent = ratio([one.cpu for one in base], [one.cpu for one in rounds])
        detail = f"{seconds / statistics.median(times):.1f} x real time, {seconds:.0f} s of MP3; {_spent(spent)}"
        if name != BATCHED:
            wanted = goal if name == "Scrivano" else None
            yield Figure(
                group=group,
                name=f"{name} / {BATCHED}",
                value=ratio([one.seconds for one in base], times),
                goal=wanted,
                detail=detail,
            )
        else:
            yield Figure(group=group, name=name, value=seconds / statistics.median(times), unit="RTFx", detail=detail)


def _long_systems(bench: Bench, shape: str, stack: ExitStack) -> Mapping[str, tuple[System, RequestOptions]]:
    systems = Systems(bench.model(shape, SPEECH_TOKENS), stack)
    ours = systems.scrivano()
    found: dict[str, tuple[System, RequestOptions]] = {
        "Scrivano": (ours, RequestOptions()),
        BATCHED: (systems.faster_whisper("batched"), RequestOptions()),
        SEQUENTIAL: (systems.faster_whisper("sequential"), RequestOptions()),
    }
    if shape == "base":
        found["Scrivano, no word times"] = (ours, RequestOptions(words=False))
        found["Scrivano, ENGINE_MALLOC=default"] = (systems.scrivano(ENGINE_MALLOC="default"), RequestOptions())
        found[BATCHED + ", word times"] = (systems.faster_whisper("batched"), RequestOptions(words=True))
        if bench.scale.ggml is not None:
            found["Scrivano, whisper_cpp"] = (stack.enter_context(scrivano(bench.scale.ggml)), RequestOptions())
    if shape == "nano" and bench.scale.ggml_nano is not None:
        found["Scrivano, whisper_cpp"] = (stack.enter_context(scrivano(bench.scale.ggml_nano)), RequestOptions())
    return found


def clips_at_once(bench: Bench) -> Iterator[Figure]:
    """W2: many short clips together, with the language given."""
    yield from _clips(bench, "W2", RequestOptions())


def clips_of_any_language(bench: Bench) -> Iterator[Figure]:
    """W4: as W2, with the language detected."""
    yield from _clips(bench, "W4", RequestOptions(language=None))


LOCKED = "one at a time"


def _clips(bench: Bench, group: str, ask: RequestOptions) -> Iterator[Figure]:
    paths = material.clips(bench.folder, bench.scale.clips)
    with ExitStack() as stack:
        systems = Systems(bench.model("base", CLIP_TOKENS), stack)
        asked: dict[str, System] = {
            "Scrivano": systems.scrivano(),
            LOCKED: systems.faster_whisper("sequential"),
            "one at a time, batched": systems.faster_whisper("batched"),
        }
        if group == "W2":
            asked["Scrivano, ENGINE_MALLOC=default"] = systems.scrivano(ENGINE_MALLOC="default")
            asked["thread pool"] = systems.faster_whisper("sequential", "threads")
        for system in asked.values():
            system.transcribe(paths[0], ask)
        works = {name: partial(together, system, paths, ask) for name, system in asked.items()}
        taken = interleaved(works, bench.scale.rounds)
    bench.samples[group] = {name: [asdict(one) for one in rounds] for name, rounds in taken.items()}
    yield from _clip_figures(group, len(paths), taken)


def together(system: System, paths: list[Path], ask: RequestOptions) -> Together:
    before = system.cpu_seconds()
    together = at_once([partial(system.transcribe, path, ask) for path in paths])
    return replace(together, cpu=system.cpu_seconds() - before)


def _clip_figures(group: str, count: int, taken: Mapping[str, list[Together]]) -> Iterator[Figure]:
    def seconds(name: str) -> list[float]:
        return [one.seconds for one in taken[name]]

    def late(name: str) -> list[float]:
        return [quantile(one.waits, 0.95) for one in taken[name]]

    for name in taken:
        if name == LOCKED:
            continue
        ours = name == "Scrivano"
        spent = ratio([one.cpu for one in taken[LOCKED]], [one.cpu for one in taken[name]])
        detail = f"{count} clips in {_median(seconds(name))} s, else {_median(seconds(LOCKED))}; {_spent(spent)}"
        speed = Figure(
            group=group, name=f"RTFx: {name} / {LOCKED}", value=ratio(seconds(LOCKED), seconds(name)), detail=detail
        )
        wait = Figure(
            group=group,
            name=f"p95 wait: {name} / {LOCKED}",
            value=ratio(late(name), late(LOCKED)),
            detail=f"{_median(late(name))} s, else {_median(late(LOCKED))}",
        )
        yield replace(speed, goal=at_least(2.0) if ours else None)
        yield replace(wait, goal=at_most(0.6) if ours else None)


def clips_beside_a_long_job(bench: Bench) -> Iterator[Figure]:
    """W3: a long recording, and a clip every ten seconds."""
    long = bench.speech(bench.scale.arrivals_s)
    clip = material.clip(bench.folder / "clip.wav")
    with ExitStack() as stack:
        systems = Systems(bench.model("base", SPEECH_TOKENS), stack)
        ours = systems.scrivano()
        alone, clip_alone = _alone(ours, long, clip)
        asked: dict[str, System] = {
            "Scrivano": ours,
            "thread pool, batched": systems.faster_whisper("batched", "threads"),
            "thread pool, sequential": systems.faster_whisper("sequential", "threads"),
        }
        taken = {name: _arrivals(system, long, clip) for name, system in asked.items()}
    bench.samples["W3"] = {name: asdict(one) for name, one in taken.items()}
    bench.samples["W3 alone"] = {"long": alone, "clip": clip_alone}
    yield from _arrival_figures(taken, alone, clip_alone)


def _alone(system: System, long: Path, clip: Path) -> tuple[float, float]:
    system.transcribe(clip, RequestOptions())
    clips = [timed(partial(system.transcribe, clip, RequestOptions())) for _ in range(5)]
    return timed(partial(system.transcribe, long, RequestOptions())), statistics.median(clips)


def _arrivals(system: System, long: Path, clip: Path) -> Together:
    system.transcribe(clip, RequestOptions())
    return with_arrivals(
        partial(system.transcribe, long, RequestOptions()), partial(system.transcribe, clip, RequestOptions()), EVERY_S
    )


def _arrival_figures(taken: Mapping[str, Together], alone: float, clip_alone: float) -> Iterator[Figure]:
    ours = taken["Scrivano"]
    for name, theirs in taken.items():
        if name == "Scrivano":
            continue
        yield Figure(
            group="W3",
            name=f"clip p95: Scrivano / {name}",
            value=quantile(ours.waits, 0.95) / quantile(theirs.waits, 0.95),
            goal=at_most(0.25),
            detail=f"{_waits(ours)}, else {_waits(theirs)}; long job {ours.seconds:.0f} s, else {theirs.seconds:.0f}",
        )
    work = len(ours.waits) * clip_alone
    yield Figure(
        group="W3",
        name="what the clips cost the long job / their work alone",
        value=(ours.seconds - alone) / work,
        goal=at_most(1.0),
        detail=f"long job {ours.seconds:.1f} s, alone {alone:.1f} s; {len(ours.waits)} clips of {clip_alone:.2f} s",
    )


def _spent(ratio: float) -> str:
    """The same ratio by processor time, for a machine that also runs other programs."""
    return f"by processor time {ratio:.2f}"


def _median(values: list[float]) -> str:
    return f"{statistics.median(values):.1f}"


def _waits(one: Together) -> str:
    return f"{quantile(one.waits, 0.95):.2f} s of {len(one.waits)}"


WORKLOADS: dict[str, Callable[[Bench], Iterator[Figure]]] = {
    "w1": long_speech,
    "w2": clips_at_once,
    "w3": clips_beside_a_long_job,
    "w4": clips_of_any_language,
}
