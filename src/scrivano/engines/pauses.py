"""Pauses in the audio of a chunk, by its loudness: where a window may be cut. Pure.

The speech detector needs 300 ms of silence for a pause, and fluent speech may have none in half a minute.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scrivano.domain.chunk import SAMPLE_RATE
from scrivano.domain.coverage import Span

__all__ = ["pauses"]

FRAME_S = 0.02
FRAME = round(FRAME_S * SAMPLE_RATE)

# A frame is quiet if it is nearer to the quietest frames than to the loud ones: at most so far up between them, in dB.
QUIET_PART = 0.3

# The closure of a stop consonant lasts at most 150 ms.
SHORTEST_S = 0.16


def pauses(audio: NDArray[np.float32]) -> list[Span]:
    """The pauses in samples at 16 kHz, ascending, in seconds from the first sample."""
    frames = audio[: len(audio) // FRAME * FRAME].reshape(-1, FRAME)
    if not len(frames):
        return []
    level = 10 * np.log10(np.mean(frames.astype(np.float64) ** 2, axis=1) + 1e-10)
    low, high = np.percentile(level, [5, 90])
    quiet = level <= low + QUIET_PART * (high - low)
    edges = np.flatnonzero(np.diff(np.concatenate(([False], quiet, [False]))))
    spans = (Span(start * FRAME_S, end * FRAME_S) for start, end in edges.reshape(-1, 2).tolist())
    return [span for span in spans if span.seconds >= SHORTEST_S]
