"""Pauses by loudness."""

from __future__ import annotations

import numpy as np
import pytest

from scrivano.engines.pauses import pauses

RATE = 16_000
noise = np.random.default_rng(1)


def sound(seconds: float, level: float) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    return (noise.standard_normal(round(seconds * RATE)) * level).astype(np.float32)


@pytest.mark.parametrize("floor", [0.0, 0.001, 0.02])
def test_a_pause_is_found_whatever_the_noise_in_it(floor: float) -> None:
    audio = np.concatenate([sound(2, 0.2), sound(0.4, floor), sound(2, 0.2), sound(0.1, floor), sound(1, 0.2)])

    [pause] = pauses(audio)

    assert pause.start == pytest.approx(2.0, abs=0.04)
    assert pause.end == pytest.approx(2.4, abs=0.04)


def test_no_audio_has_no_pauses() -> None:
    assert pauses(np.zeros(10, np.float32)) == []
