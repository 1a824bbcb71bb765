"""Kaldi's features. The expected numbers follow from its formulas, not from this code."""

from __future__ import annotations

import numpy as np
import pytest

from scrivano.domain.chunk import SAMPLE_RATE
from scrivano.speakers.fbank import BINS, FRAME, FilterBank

FEATURES = FilterBank()


def tone(hertz: float, seconds: float = 0.5) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    return np.sin(2 * np.pi * hertz * np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE).astype(np.float32)


@pytest.mark.parametrize(("samples", "frames"), [(1, 1), (FRAME, 1), (FRAME + 159, 1), (FRAME + 160, 2), (16_000, 98)])
def test_a_frame_every_ten_milliseconds(samples: int, frames: int) -> None:
    assert FEATURES(np.ones(samples, np.float32)).shape == (frames, BINS)


@pytest.mark.parametrize("hertz", [200.0, 1000.0, 3500.0, 7000.0])
def test_a_tone_is_loudest_in_its_band(hertz: float) -> None:
    def mel(frequency: float) -> float:
        return 1127 * float(np.log(1 + frequency / 700))

    step = (mel(8000) - mel(20)) / (BINS + 1)
    band = (mel(hertz) - mel(20)) / step - 1

    assert abs(FEATURES(tone(hertz)).mean(axis=0).argmax() - band) < 1


def test_silence_is_the_logarithm_of_the_smallest_float() -> None:
    assert FEATURES(np.zeros(800, np.float32)) == pytest.approx(np.log(1.1920929e-07))


def test_a_constant_offset_makes_no_difference() -> None:
    assert FEATURES(tone(500) + 0.5) == pytest.approx(FEATURES(tone(500)), abs=1e-2)


def test_twice_the_level_is_four_times_the_energy() -> None:
    noise = np.random.default_rng(1).normal(size=8000).astype(np.float32)

    assert FEATURES(2 * noise) - FEATURES(noise) == pytest.approx(np.log(4), abs=1e-3)
