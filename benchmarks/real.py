"""W1 to W4 with real weights and real speech: words and speed side by side (`BENCH_MODEL`, `BENCH_AUDIO`).

Each system gets the same recordings. Speed is compared by processor time: it changes less on a machine that also does
other work.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from itertools import groupby, product
from pathlib import Path
from typing import Any

from benchmarks.comparison import Measured, markdown, plot
from benchmarks.device_memory import Peak, device_memory
from benchmarks.figures import Figure, Goal, at_least, at_most, quantile
from benchmarks.load import Together, at_once, interleaved, timed, with_arrivals
from benchmarks.servers import Placement, RequestOptions, System, scrivano, whisper_cpp
from benchmarks.spoken import SpokenText, Words, clips, long_ones, wrong_words
from benchmarks.workloads import BATCHED, EVERY_S, LOCKED, SEQUENTIAL, Samples, Systems

SPEECH_ONLY = f"{SEQUENTIAL}, speech only"
WHISPER_CPP = "whisper.cpp"

# Goals of W1, by processor time: over all languages; and Russian beside English, a second of audio.
OVER_BATCHED, OVER_SEQUENTIAL, RUSSIAN = at_least(1.6), at_least(2.5), at_most(1.25)


@dataclass(frozen=True, slots=True, kw_only=True)
class RealBench:
    """`long_s`: at most so many seconds of long recordings a language. `out`: the folder of the results."""

    model: Path
    spoken: Sequence[SpokenText]
    out: Path
    ggml: Path | None = None
    placement: Placement = field(default_factory=Placement)
    long_s: float = 600.0
    clips: int = 20
    rounds: int = 1
    samples: Samples = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """A running system, the options of its requests, and its process."""

    system: System
    ask: RequestOptions
    pid: int


def _configurations(bench: RealBench, stack: ExitStack) -> dict[str, Configuration]:
    """All that W1 compares."""
    systems = Systems(bench.model, stack, bench.placement)
    ours = systems.scrivano()
    batched, sequential, speech = (
        systems.faster_whisper(engine) for engine in ("batched", "sequential", "sequential, speech only")
    )
    words, greedy = RequestOptions(words=True), RequestOptions(words=False, beam=1)
    plain = RequestOptions(words=False)
    found: dict[str, tuple[System, RequestOptions, int]] = {
        "Scrivano": (ours, words, ours.pid),
        "Scrivano, no word times": (ours, plain, ours.pid),
        "Scrivano, no word times, beam 1": (ours, greedy, ours.pid),
        BATCHED: (batched, plain, batched.pid),
        f"{BATCHED}, word times": (batched, words, batched.pid),
        f"{BATCHED}, beam 1": (batched, greedy, batched.pid),
        SEQUENTIAL: (sequential, plain, sequential.pid),
        SPEECH_ONLY: (speech, plain, speech.pid),
        f"{SPEECH_ONLY}, word times": (speech, words, speech.pid),
        f"{SPEECH_ONLY}, beam 1": (speech, greedy, speech.pid),
    }
    if bench.ggml is not None:
        cpp, theirs = stack.enter_context(scrivano(bench.ggml)), stack.enter_context(whisper_cpp(bench.ggml))
        found["Scrivano, whisper.cpp"] = (cpp, words, cpp.pid)
        found[WHISPER_CPP] = (theirs, plain, theirs.pid)
        found[f"{WHISPER_CPP}, beam 1"] = (theirs, greedy, theirs.pid)
    return {name: Configuration(system=one, ask=ask, pid=pid) for name, (one, ask, pid) in found.items()}


def one_by_one(name: str, one: Configuration, spoken: Sequence[SpokenText]) -> Measured:
    """The recordings one after the other, with their languages given."""
    words: dict[str, Words] = {}
    cpu: dict[str, float] = {}
    audio: dict[str, float] = {}
    seconds = 0.0
    with Peak(device_memory("cpu", one.pid)) as peak:
        for recording in spoken:
            before = one.system.cpu_seconds()
            texts: list[str] = []
            seconds += timed(lambda one=one, recording=recording, texts=texts: texts.append(_heard(one, recording)))  # type: ignore[misc]
            language = recording.language
            cpu[language] = cpu.get(language, 0.0) + one.system.cpu_seconds() - before
            audio[language] = audio.get(language, 0.0) + recording.seconds
            words[language] = words.get(language, Words()) + wrong_words(recording.text, texts[0])
    return Measured(
        name=name,
        audio_s=sum(audio.values()),
        seconds=seconds,
        cpu=sum(cpu.values()),
        memory_mb=peak.mb,
        words=words,
        cpu_by_language={language: cpu[language] / audio[language] for language in cpu},
    )


def _heard(one: Configuration, recording: SpokenText, *, language: bool = True) -> str:
    ask = replace(one.ask, language=recording.language if language else None)
    return " ".join(segment["text"] for segment in one.system.transcribe(recording.path, ask))


def _median(rounds: Sequence[Measured]) -> Measured:
    return sorted(rounds, key=lambda one: one.cpu)[len(rounds) // 2]


def long_speech(bench: RealBench) -> Iterator[Figure]:
    """W1: long recordings, one after the other."""
    spoken = long_ones(bench.spoken, bench.long_s)
    with ExitStack() as stack:
        configurations = _configurations(bench, stack)
        for one in configurations.values():
            _heard(one, min(bench.spoken, key=lambda one: one.seconds))  # Warm-up.
        works = {name: partial(one_by_one, name, one, spoken) for name, one in configurations.items()}
        taken = {name: _median(rounds) for name, rounds in interleaved(works, bench.rounds).items()}
    report(bench, "W1", list(taken.values()))
    yield from words_and_speed("W1", list(taken.values()))
    yield from long_ratios(taken)


def long_ratios(taken: Mapping[str, Measured]) -> Iterator[Figure]:
    ours = taken["Scrivano"]
    for name, goal in ((BATCHED, OVER_BATCHED), (SEQUENTIAL, OVER_SEQUENTIAL)):
        other = taken[name]
        yield _ratio("W1", f"by processor time: Scrivano / {name}", other.cpu / ours.cpu, goal, (ours, other))
    cpu = ours.cpu_by_language
    if "ru" in cpu and "en" in cpu:
        yield Figure(
            group="W1",
            name="processor time for a second of audio: Russian / English",
            value=cpu["ru"] / cpu["en"],
            goal=RUSSIAN,
            detail=", ".join(f"{language} {one:.3f}" for language, one in sorted(cpu.items())),
        )


def _ratio(group: str, name: str, value: float, goal: Goal | None, pair: tuple[Measured, Measured]) -> Figure:
    ours, other = pair
    detail = f"{ours.audio_s:.0f} s of audio: {ours.cpu:.0f} s, else {other.cpu:.0f}; wall clock {ours.seconds:.0f} s,"
    return Figure(group=group, name=name, value=value, goal=goal, detail=f"{detail} else {other.seconds:.0f}")


def words_and_speed(group: str, measured: Sequence[Measured]) -> Iterator[Figure]:
    for one in measured:
        wrong = one.all_words
        yield Figure(
            group=group,
            name=f"words wrong: {one.name}",
            value=wrong.percent,
            unit="%",
            detail=f"{wrong.wrong} of {wrong.count}; {one.audio_s / one.seconds:.1f} x real time, {one.speed:.1f} by"
            f" processor time; {one.memory_mb:.0f} MB",
        )


def report(bench: RealBench, group: str, measured: Sequence[Measured]) -> None:
    """Write a table and a plot for this workload."""
    bench.out.mkdir(parents=True, exist_ok=True)
    title = f"{group}: {bench.model.name}, {measured[0].audio_s:.0f} s of speech"
    (bench.out / f"{group.lower()}.md").write_text(markdown(title, measured))
    (bench.out / f"{group.lower()}.svg").write_text(plot(title, measured))
    bench.samples[group] = [asdict(one) for one in measured]


def clips_at_once(bench: RealBench) -> Iterator[Figure]:
    """W2: clips of all languages together, with the languages given."""
    yield from _clips(bench, "W2", language=True)


def clips_of_any_language(bench: RealBench) -> Iterator[Figure]:
    """W4: as W2, with the languages detected."""
    yield from _clips(bench, "W4", language=False)


def _clips(bench: RealBench, group: str, *, language: bool) -> Iterator[Figure]:
    spoken = clips(bench.spoken, bench.clips)
    if not spoken:
        raise ValueError("the audio folder has no clips: recordings of up to 30 s")
    with ExitStack() as stack:
        systems = Systems(bench.model, stack, bench.placement)
        ours, fast = systems.scrivano(), systems.scrivano(LATENCY="fast")
        locked, batched = systems.faster_whisper("sequential"), systems.faster_whisper("batched")
        threads = systems.faster_whisper("sequential", "threads")
        plain = RequestOptions(words=False)
        asked = {
            "Scrivano": Configuration(system=ours, ask=plain, pid=ours.pid),
            "Scrivano, LATENCY=fast": Configuration(system=fast, ask=plain, pid=fast.pid),
            f"{LOCKED}, sequential": Configuration(system=locked, ask=plain, pid=locked.pid),
            f"{LOCKED}, batched": Configuration(system=batched, ask=plain, pid=batched.pid),
            "thread pool, sequential": Configuration(system=threads, ask=plain, pid=threads.pid),
        }
        for one in asked.values():
            _heard(one, spoken[0])  # Warm-up.
        works = {name: partial(all_at_once, name, one, spoken, language) for name, one in asked.items()}
        taken = interleaved(works, bench.rounds)
    measured = [_median([one for one, _ in rounds]) for rounds in taken.values()]
    report(bench, group, measured)
    yield from words_and_speed(group, measured)
    waits = {name: quantile(rounds[0][1].waits, 0.95) for name, rounds in taken.items()}
    by_name = {one.name: one for one in measured}
    like = f"{LOCKED}, sequential"
    pair = (by_name["Scrivano"], by_name[like])
    yield _ratio(group, f"RTFx: Scrivano / {like}", pair[1].seconds / pair[0].seconds, at_least(2.0), pair)
    yield Figure(
        group=group,
        name=f"p95 wait: Scrivano / {like}",
        value=waits["Scrivano"] / waits[like],
        goal=at_most(0.6),
        detail=", ".join(f"{name} {wait:.1f} s" for name, wait in waits.items()),
    )


def all_at_once(
    name: str, one: Configuration, spoken: Sequence[SpokenText], language: bool
) -> tuple[Measured, Together]:
    texts: dict[int, str] = {}

    def work(n: int) -> None:
        texts[n] = _heard(one, spoken[n], language=language)

    before = one.system.cpu_seconds()
    with Peak(device_memory("cpu", one.pid)) as peak:
        together = at_once([partial(work, n) for n in range(len(spoken))])
    cpu = one.system.cpu_seconds() - before
    numbered = sorted(enumerate(spoken), key=lambda item: item[1].language)
    words = {
        code: sum((wrong_words(item.text, texts[n]) for n, item in group), Words())
        for code, group in groupby(numbered, key=lambda item: item[1].language)
    }
    measured = Measured(
        name=name,
        audio_s=sum(item.seconds for item in spoken),
        seconds=together.seconds,
        cpu=cpu,
        memory_mb=peak.mb,
        words=words,
        cpu_by_language={},
    )
    return measured, together


# A factory of each system of W3: they run one after the other, so that only one has its model in memory.
_BESIDE_A_LONG_JOB: Mapping[str, Callable[[Systems], Any]] = {
    "Scrivano": lambda systems: systems.scrivano(),
    "Scrivano, LATENCY=normal": lambda systems: systems.scrivano(LATENCY="normal"),
    "thread pool, batched": lambda systems: systems.faster_whisper("batched", "threads"),
    "thread pool, sequential": lambda systems: systems.faster_whisper("sequential", "threads"),
}


def clips_beside_a_long_job(bench: RealBench) -> Iterator[Figure]:
    """W3: the longest recording, and a clip every ten seconds; the clip is the longest one."""
    long = max(bench.spoken, key=lambda one: one.seconds)
    clip = max(clips(bench.spoken, len(bench.spoken)), key=lambda one: one.seconds)
    taken: dict[str, tuple[Together, float]] = {}
    for name, start in _BESIDE_A_LONG_JOB.items():
        with ExitStack() as stack:
            system = start(Systems(bench.model, stack, bench.placement))
            one = Configuration(system=system, ask=RequestOptions(words=False), pid=system.pid)
            _heard(one, clip)  # Warm-up.
            alone = timed(partial(_heard, one, clip))
            taken[name] = (with_arrivals(partial(_heard, one, long), partial(_heard, one, clip), EVERY_S), alone)
    bench.samples["W3"] = {name: {**asdict(found), "clip_alone": alone} for name, (found, alone) in taken.items()}
    for name, (found, alone) in taken.items():
        if found.waits:
            yield Figure(
                group="W3",
                name=f"clip p95: {name}",
                value=quantile(found.waits, 0.95),
                unit="s",
                detail=f"{len(found.waits)} clips of {clip.seconds:.0f} s, alone {alone:.2f} s; the long job"
                f" ({long.seconds:.0f} s) takes {found.seconds:.0f} s",
            )
    for ours, theirs in product(list(taken)[:2], list(taken)[2:]):
        if taken[ours][0].waits and taken[theirs][0].waits:
            yield Figure(
                group="W3",
                name=f"clip p95: {ours} / {theirs}",
                value=quantile(taken[ours][0].waits, 0.95) / quantile(taken[theirs][0].waits, 0.95),
                goal=at_most(0.25) if ours == "Scrivano" else None,
            )


REAL_WORKLOADS: dict[str, Callable[[RealBench], Iterator[Figure]]] = {
    "w1": long_speech,
    "w2": clips_at_once,
    "w3": clips_beside_a_long_job,
    "w4": clips_of_any_language,
}
