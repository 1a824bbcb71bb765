"""Latency: the encoder compared with the limit of the processor, and the first text of a long recording."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from benchmarks import alone, limit, material
from benchmarks.figures import Figure, at_least, at_most
from benchmarks.load import timed
from benchmarks.machine import cores
from benchmarks.servers import RequestOptions, System
from benchmarks.shapes import SHAPES
from benchmarks.workloads import SPEECH_TOKENS, Bench, Systems

HOUR_S = 3600.0


def encoder(bench: Bench) -> Iterator[Figure]:
    """A window through the encoder, and what its multiplications take at the processor's measured peaks.

    Both at their best: it is the library that is measured here, not what else the machine does.
    """
    threads = cores()
    peak = limit.measure(threads)
    bench.samples["peak"] = {"int8": peak.int8, "float32": peak.float32, "threads": threads}
    for name, shape in SHAPES.items():
        folder = bench.model(name, SPEECH_TOKENS)
        took = {malloc: alone.measure(folder, 30, malloc)["encode"] for malloc in ("tuned", "default")}
        bench.samples[f"encoder {name}"] = took
        layers, rest = limit.encoder_work(shape)
        least = layers / peak.int8 + rest / peak.float32
        for malloc, times in took.items():
            share = least / min(times)
            # Above 1, the machine was busier while the limit was measured, and the result is invalid.
            yield Figure(
                group="limit",
                name=f"{name} encoder, {malloc} malloc: int8 and float32 limits / measured",
                value=share,
                goal=at_least(0.75) if malloc == "tuned" and share <= 1 else None,
                detail=f"{1000 * min(times):.0f} ms a window, the best of {len(times)}; layers at"
                f" {peak.int8 / 1e9:.0f} G multiplications a second, attention and convolutions at"
                f" {peak.float32 / 1e9:.0f} G",
            )
        yield Figure(
            group="limit",
            name=f"{name} encoder: limit if all of it were int8 / measured",
            value=(layers + rest) / peak.int8 / min(took["tuned"]),
            detail="CTranslate2 has no int8 attention",
        )


def _first(system: System, hour: Path, clip: Path) -> float:
    """On an idle server: the batch in which the last hour was cancelled goes on, and the clip waits for its end."""
    system.transcribe(clip, RequestOptions())
    return timed(partial(system.first_segment, hour))


def first_segment(bench: Bench) -> Iterator[Figure]:
    """From the submission of an hour of MP3 to its first text, model ready, language detected."""
    hour, clip = bench.speech(HOUR_S), material.clip(bench.folder / "clip.wav")
    folder = bench.model("base", SPEECH_TOKENS)
    window = statistics.median(alone.measure(folder, 30)["decode"])
    with ExitStack() as stack:
        systems = Systems(folder, stack)
        ours, theirs = systems.scrivano(), systems.faster_whisper("batched")
        mine = [_first(ours, hour, clip) for _ in range(3)]
        others = [timed(partial(theirs.first_segment, hour))]
    bench.samples["first segment"] = {"ours": mine, "batched": others, "window": window}
    first = statistics.median(mine)
    yield Figure(
        group="first text",
        name="first segment of an hour / two windows' work",
        value=first / (2 * window),
        goal=at_most(1.0),
        detail=f"{first:.2f} s; one window alone takes {window:.2f} s",
    )
    yield Figure(
        group="first text",
        name="first segment of an hour / faster-whisper batched",
        value=first / others[0],
        goal=at_most(0.2),
        detail=f"{first:.2f} s, else {others[0]:.1f} s",
    )
