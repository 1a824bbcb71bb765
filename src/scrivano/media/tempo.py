"""16 kHz mono, faster or slower at the same pitch: for recordings whose clock differs from their samples."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import av
import numpy as np
from av.error import BlockingIOError, EOFError
from av.filter import Graph
from numpy.typing import NDArray

from scrivano.domain.chunk import SAMPLE_RATE

__all__ = ["Tempo"]


class Tempo:
    """`speed`: 0.5 to 2; above 1 is faster. FFmpeg's `atempo` overlaps stretches that resemble each other."""

    def __init__(self, speed: float) -> None:
        graph = Graph()
        source = graph.add_abuffer(
            sample_rate=SAMPLE_RATE, format="flt", layout="mono", time_base=Fraction(1, SAMPLE_RATE)
        )
        tempo, sink = graph.add("atempo", f"{speed:.6f}"), graph.add("abuffersink")
        source.link_to(tempo)
        tempo.link_to(sink)
        graph.configure()
        self._graph = graph
        self._fed = 0

    def change(self, audio: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
        if not len(audio):
            return
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(audio[None]), "flt", "mono")
        frame.sample_rate, frame.pts, frame.time_base = SAMPLE_RATE, self._fed, Fraction(1, SAMPLE_RATE)
        self._fed += len(audio)
        self._graph.push(frame)
        yield from self._pull()

    def flush(self) -> Iterator[NDArray[np.float32]]:
        """The rest. Nothing may follow."""
        self._graph.push(None)
        yield from self._pull()

    def _pull(self) -> Iterator[NDArray[np.float32]]:
        while True:
            try:
                frame = self._graph.pull()
            except (BlockingIOError, EOFError):
                return
            assert isinstance(frame, av.AudioFrame)
            yield np.frombuffer(memoryview(frame.planes[0]), np.float32, count=frame.samples).copy()
