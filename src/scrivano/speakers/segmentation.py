"""The segmentation network's output → speech, and places where one voice follows another. Pure.

The network (pyannote segmentation-3.0) hears 10 s at a time, and tells up to three voices apart in it, of which up to
two speak at once. Which voice is the first, second or third differs from window to window.
Plaquet and Bredin, "Powerset multi-class cross entropy loss for neural speaker diarization", Interspeech 2023.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from scrivano.domain.chunk import SAMPLE_RATE

__all__ = [
    "FIRST_S",
    "FRAMES",
    "HOP_S",
    "LOCAL_VOICES",
    "STEP_S",
    "WINDOW_S",
    "Activity",
    "decode",
    "frame_range",
    "runs",
    "speech_spans",
    "window_starts",
]

Activity = NDArray[np.bool_]
"""[windows, `FRAMES`, `LOCAL_VOICES`]: which of its voices speak in each frame of each window."""

WINDOW_S = 10.0
# Between the starts of two windows. 2.5 s find 0.1 % more, and cost twice as much.
HOP_S = 5.0
# The network's strides multiply to 270 samples; its first frame sees 991 samples (SincNet's kernels and pools).
FRAMES = 589
STEP_S = 270 / SAMPLE_RATE
FIRST_S = 495 / SAMPLE_RATE

LOCAL_VOICES = 3
# The network's classes: nobody, one voice, two at once.
_POWERSET = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [1, 0, 1], [0, 1, 1]], np.bool_)

# Near its ends a window knows less: there it counts less where two overlap.
_FADE_FRAMES = 60
_FADE_LEAST = 0.05

# Speech reaches so far beyond the middle of its first frame, and of the frame after its last one.
MARGIN_S = 0.015


@dataclass(frozen=True, slots=True, kw_only=True)
class SpanOptions:
    """Seconds. `pause`: shorter ones do not end speech. `shortest`: shorter speech is a click. `least`: a change of the
    voice divides a span if it leaves that much on both sides. Found on the conversations of docs/speakers.md."""

    pause: float = 0.10
    shortest: float = 0.25
    least: float = 0.4


def window_starts(seconds: float) -> list[float]:
    """Where the windows of so much audio start. The last one may reach beyond the end."""
    count = max(1, int(np.ceil((seconds - WINDOW_S) / HOP_S)) + 1)
    return [number * HOP_S for number in range(count)]


def decode(scores: NDArray[np.float32]) -> Activity:
    """The network's output, [windows, `FRAMES`, classes], to the likeliest class of each frame."""
    activity: Activity = _POWERSET[scores.argmax(axis=-1)]
    return activity


def frame_range(start: float, end: float) -> tuple[int, int]:
    """The frames between two times of a window."""
    return max(0, int((start - FIRST_S) / STEP_S)), max(0, int((end - FIRST_S) / STEP_S))


def runs(mask: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Where the mask is true: starts, and ends (exclusive)."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def speech_spans(activity: Activity, seconds: float, options: SpanOptions | None = None) -> list[tuple[float, float]]:
    """Stretches of speech, (start, end) in seconds, divided where one voice follows another."""
    options = options or SpanOptions()
    changes = sorted(_changes(activity))
    spans = []
    for start, end in _speech(activity, seconds, options.pause):
        if end - start < options.shortest:
            continue
        for change in changes:
            if start + options.least < change < end - options.least:
                spans.append((start, change))
                start = change
        spans.append((start, end))
    return spans


def _speech(activity: Activity, seconds: float, pause: float) -> list[tuple[float, float]]:
    """Where the windows agree, each weighted, that somebody speaks."""
    frames = int(seconds / STEP_S) + 2
    fade = np.interp(
        np.arange(FRAMES),
        [0, _FADE_FRAMES, FRAMES - _FADE_FRAMES, FRAMES - 1],
        [_FADE_LEAST, 1, 1, _FADE_LEAST],
    )
    votes, weights = np.zeros(frames), np.full(frames, 1e-9)
    for first, window in _placed(activity):
        count = min(FRAMES, frames - first)
        if count > 0:
            votes[first : first + count] += window[:count].any(axis=1) * fade[:count]
            weights[first : first + count] += fade[:count]
    joined: list[tuple[float, float]] = []
    for first, last in runs(votes / weights >= 0.5):
        start = max(0.0, first * STEP_S + FIRST_S - MARGIN_S)
        end = min(seconds, last * STEP_S + FIRST_S + MARGIN_S)
        if joined and start - joined[-1][1] < pause:
            joined[-1] = (joined[-1][0], end)
        elif end > start:
            joined.append((start, end))
    return joined


def _placed(activity: Activity) -> Iterator[tuple[int, Activity]]:
    """Each window, with the number of its first frame among those of the whole audio."""
    for number, window in enumerate(activity):
        yield round(number * HOP_S / STEP_S), window


def _changes(activity: Activity) -> Iterator[float]:
    """Seconds at which one voice follows another. Only the middle of a window is heard for it, so that each is found
    once; at the ends of the audio there is one window only."""
    for number, window in enumerate(activity):
        start = number * HOP_S
        lowest = start + (WINDOW_S - HOP_S) / 2 if number else 0.0
        highest = start + (WINDOW_S + HOP_S) / 2 if number < len(activity) - 1 else np.inf
        alone = np.where(window.sum(axis=1) == 1, window.argmax(axis=1), -1)
        spoken = np.flatnonzero(alone >= 0).tolist()
        for before, after in pairwise(spoken):
            at = start + FIRST_S + (before + after) / 2 * STEP_S
            if alone[before] != alone[after] and lowest <= at < highest:
                yield at
