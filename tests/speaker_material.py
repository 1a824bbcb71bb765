"""Voices as vectors: what the networks would find in a conversation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from scrivano.domain.chunk import SAMPLE_RATE
from scrivano.speakers.chunk_voices import StretchVoices
from scrivano.speakers.embedding import SIZE, unit
from scrivano.speakers.segmentation import FIRST_S, FRAMES, STEP_S, window_starts

Turn = tuple[float, float, int]


def two_voices(audio: NDArray[np.int16]) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
    """The same speech lower and slower, and higher and faster: a large person and a small one, as far as the voice
    goes (their vectors have a cosine of about 0.1)."""
    return _resampled(audio, 0.7), _resampled(audio, 1.4)


def _resampled(audio: NDArray[np.int16], speed: float) -> NDArray[np.int16]:
    places = np.arange(0, len(audio) - 1, speed)
    return np.asarray(np.interp(places, np.arange(len(audio)), audio), np.int16)


def voice(number: int) -> NDArray[np.float64]:
    """The centre of a voice; those of different voices are at right angles."""
    return np.asarray(np.eye(SIZE)[number])


def stretch(turns: Sequence[Turn], seconds: float, *, start_s: float = 0.0, scatter: float = 1.0) -> StretchVoices:
    """A stretch in which voices speak: (start, end, voice), from its first second; where two overlap, the earlier one
    has the vectors. With `scatter` 1, two vectors of a voice have a mean cosine of 0.5, as real ones do."""
    random = np.random.default_rng(round(start_s * 1000) + len(turns))
    spans: list[tuple[float, float]] = []
    parts: list[tuple[float, float]] = []
    vectors: list[NDArray[np.float64]] = []
    until = 0.0
    for begin, end, number in sorted(turns):
        begin = max(begin, until)
        if end <= begin:
            continue
        until = end
        spans.append((begin, end))
        count = max(1, int(np.ceil((end - begin - 1.5) / 0.75)) + 1) if end - begin > 1.5 else 1
        for at in np.linspace(begin, max(begin, end - 1.5), count):
            parts.append((float(at), float(min(end, at + 1.5))))
            vectors.append(voice(number) + scatter * unit(random.normal(size=SIZE)))
    return StretchVoices(
        start=round(start_s * SAMPLE_RATE),
        activity=_activity(turns, seconds),
        spans=np.array(spans).reshape(-1, 2),
        parts=np.array(parts).reshape(-1, 2),
        vectors=unit(np.array(vectors).reshape(-1, SIZE)).astype(np.float32),
        solid=np.array([end - begin >= 0.9 for begin, end in parts], np.bool_),
    )


def _activity(turns: Sequence[Turn], seconds: float) -> NDArray[np.bool_]:
    times = FIRST_S + np.arange(FRAMES) * STEP_S
    windows = []
    for start in window_starts(seconds):
        window = np.zeros((FRAMES, 3), np.bool_)
        for begin, end, number in turns:
            window[:, number % 3] |= (begin <= times + start) & (times + start < end)
        windows.append(window)
    return np.stack(windows)


def dialogue(
    voices: Sequence[int], turn_s: float = 4.0, pause_s: float = 0.5, *, start_s: float = 0.0
) -> StretchVoices:
    """The voices speak in this order, each for `turn_s`."""
    step = turn_s + pause_s
    turns = [(place * step, place * step + turn_s, number) for place, number in enumerate(voices)]
    return stretch(turns, len(voices) * step, start_s=start_s)
