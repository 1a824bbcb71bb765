"""Encoder and search of one shape: batch sizes, beams, number formats, with and without timestamps, one or two at once.

The library is called as the product's engine calls it (`scrivano.engines.ct2.model`): the encoder's output is copied to
host memory, and the search gets it from there.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ctranslate2
import numpy as np

from benchmarks.device_memory import Peak, Read, device_memory
from benchmarks.gpu.check import Check
from benchmarks.gpu.results import Row
from benchmarks.load import timed
from benchmarks.shapes import LARGE_SHAPES
from scrivano.engines.ct2.processor import Processor, load

WINDOW_S, WINDOW_FRAMES = 30.0, 3000

# Tokens that are generated for a window at most, and the last first timestamp: as the engine asks for them.
MAX_LENGTH, FIRST_TIMESTAMP_INDEX = 448, 50

# A point takes about this many times the time that the last one took for each window: it runs twice, and may be slower.
MARGIN = 2.5


@dataclass(frozen=True, slots=True)
class Point:
    """`at_once`: how many threads have a batch at the same time."""

    batch: int
    beam: int
    timestamps: bool = True
    at_once: int = 1

    def __str__(self) -> str:
        marks = "timestamps" if self.timestamps else "no timestamps"
        return f"batch {self.batch}, beam {self.beam}, {marks}, {self.at_once} at once"


def points(batches: Sequence[int], at_once_batches: Sequence[int]) -> list[Point]:
    """The most important ones first: time may not suffice for all."""
    middle = batches[len(batches) // 2]
    first = [Point(batch, beam) for beam in (5, 1) for batch in batches]
    first += [Point(middle, beam, timestamps=False) for beam in (5, 1)]
    first += [Point(batch, 5, at_once=2) for batch in at_once_batches]
    rest = [Point(batch, beam, timestamps=False) for beam in (5, 1) for batch in batches]
    rest += [Point(batch, 1, at_once=2) for batch in at_once_batches]
    return list(dict.fromkeys([*first, *rest]))


def sweep(check: Check, shape: str) -> Iterator[Row]:
    read, folders = device_memory(check.device), []
    seconds = timed(lambda: folders.append(check.model(shape, check.size.tokens)))
    size_mb = (folders[0] / "model.bin").stat().st_size / 1e6
    yield Row(name=f"{shape}: written", value=seconds, unit="s", detail=f"{size_mb:,.0f} MB")
    for n, compute_type in enumerate(check.size.compute_types):
        share = check.left_s / (len(check.size.compute_types) - n)
        yield from _sweep(check, shape, folders[0], compute_type, read, time.monotonic() + share)


def _sweep(check: Check, shape: str, folder: Path, compute_type: str, read: Read, deadline: float) -> Iterator[Row]:
    name, before, started = f"{shape}, {compute_type}", read(), time.monotonic()
    model, processor = load(
        folder, device=check.device, device_index=0, compute_type=compute_type, cpu_threads=0, num_workers=2
    )
    loaded = time.monotonic() - started
    weights = read() - before
    yield Row(name=f"{name}: load", value=loaded, unit="s", detail=f"{weights:,.0f} MB of memory", data={"mb": weights})
    run = _Run(model, processor, LARGE_SHAPES[shape].mels)
    try:
        yield Row(name=f"{name}: first window", value=timed(lambda: run.point(Point(1, 1))), unit="s")
        window_s = 0.0
        for point in points(check.size.batches, check.size.at_once_batches):
            label = f"{name}: {point}"
            if time.monotonic() + MARGIN * window_s * point.batch * point.at_once > deadline:
                yield Row(name=label, skipped="no time left")
                continue
            try:
                row, window_s = _measured(run, label, point, read, before)
            except RuntimeError as error:  # CTranslate2: the device lacks memory
                yield Row(name=label, skipped=str(error))
                if "out of memory" not in str(error).lower():
                    raise
                continue
            yield row
        yield from run.extras(name, check.size.at_once_batches[0])
    finally:
        model.unload_model()
    yield Row(name=f"{name}: memory after unloading, in the same process", value=read() - before, unit="MB")


def _measured(run: _Run, label: str, point: Point, read: Read, before: float) -> tuple[Row, float]:
    """The second of two runs: in the first the allocator takes memory. Returns seconds for each window, too."""
    run.point(point)
    with Peak(read) as peak:
        began = time.monotonic()
        encode_s, search_s = run.point(point)
        seconds = time.monotonic() - began
    windows = point.batch * point.at_once
    row = Row(
        name=label,
        value=windows * WINDOW_S / seconds,
        unit="x real time",
        detail=f"encoder {1000 * encode_s / point.batch:.1f} ms and search {1000 * search_s / point.batch:.1f} ms a"
        f" window; {peak.mb - before:,.0f} MB",
        data={
            "batch": point.batch,
            "beam": point.beam,
            "timestamps": point.timestamps,
            "at_once": point.at_once,
            "encode_s": encode_s,
            "search_s": search_s,
            "seconds": seconds,
            "mb": peak.mb - before,
        },
    )
    return row, seconds / windows


class _Run:
    """A loaded model, and noise for it."""

    def __init__(self, model: Any, processor: Processor, mels: int) -> None:
        self._model = model
        self._processor = processor
        self._noise = np.random.default_rng(1).standard_normal((1, mels, WINDOW_FRAMES)).astype(np.float32)

    def point(self, point: Point) -> tuple[float, float]:
        """Decode. Returns the seconds of encoder and search, the longer ones if there are several at once."""
        if point.at_once == 1:
            return self._decode(point)
        with ThreadPoolExecutor(point.at_once) as threads:
            found = list(threads.map(self._decode, [point] * point.at_once))
        return max(one for one, _ in found), max(one for _, one in found)

    def extras(self, name: str, batch: int) -> Iterator[Row]:
        """What a copy of the encoder's output to the host costs, and the times of words."""
        features = self._features(batch)
        for to_cpu in (True, False):
            where = "to the host" if to_cpu else "left on the device"

            def encode(to_cpu: bool = to_cpu) -> None:
                self._model.encode(features, to_cpu=to_cpu)  # It returns when the device has done it.

            encode()
            ms = 1000 * timed(encode) / batch
            yield Row(name=f"{name}: encoder, batch {batch}, output {where}", value=ms, unit="ms a window")
        encoded = np.array(self._model.encode(features, to_cpu=True))
        tokens = self._search(encoded, Point(batch, 1))
        text = [[token for token in one if token < self._processor.end_of_text] for one in tokens]
        start = self._processor.start_sequence("en", "transcribe")

        def align() -> None:
            self._model.align(ctranslate2.StorageView.from_array(encoded), start, text, [WINDOW_FRAMES] * batch)

        align()
        ms = 1000 * timed(align) / batch
        yield Row(name=f"{name}: times of words, batch {batch}", value=ms, unit="ms a window")

    def _features(self, batch: int) -> Any:
        return ctranslate2.StorageView.from_array(np.repeat(self._noise, batch, axis=0))

    def _decode(self, point: Point) -> tuple[float, float]:
        features = self._features(point.batch)
        began = time.monotonic()
        encoded = np.array(self._model.encode(features, to_cpu=True))
        searching = time.monotonic()
        self._search(encoded, point)
        return searching - began, time.monotonic() - searching

    def _search(self, encoded: Any, point: Point) -> list[list[int]]:
        prompt = self._processor.prompt([], "en", "transcribe")
        if not point.timestamps:
            prompt = [*prompt, self._processor.timestamp_begin - 1]
        found = self._model.generate(
            ctranslate2.StorageView.from_array(encoded),
            [prompt] * point.batch,
            beam_size=point.beam,
            patience=1,
            max_length=MAX_LENGTH,
            return_scores=True,
            return_no_speech_prob=True,
            max_initial_timestamp_index=FIRST_TIMESTAMP_INDEX,
            suppress_tokens=self._processor.suppressed_tokens,
        )
        return [one.sequences_ids[0] for one in found]
