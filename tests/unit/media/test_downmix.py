"""Channels → one channel that is never much quieter than the loudest of them."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from scrivano.media.downmix import Downmix

Samples = NDArray[np.float32]
RNG = np.random.default_rng(1)


def voice(seconds: float = 2.0) -> Samples:
    return (RNG.standard_normal(round(seconds * 16_000)) * 0.1).astype(np.float32)


def level(audio: Samples) -> float:
    return float(np.sqrt(np.mean(np.square(audio))))


def mixed(*channels: Samples, names: tuple[str, ...] | None = None) -> Samples:
    return Downmix(names or ("NONE",) * len(channels)).mix(np.stack(channels, axis=1))


def test_equal_channels_give_the_same_sound() -> None:
    one = voice()

    np.testing.assert_allclose(mixed(one, one), one, atol=1e-6)


@pytest.mark.parametrize("strength", [1.0, 0.9, 0.5])
def test_a_channel_upside_down_is_turned(strength: float) -> None:
    one = voice()

    assert level(mixed(one, -strength * one, names=("FL", "FR"))) > 0.7 * level(one)


def test_a_channel_that_is_upside_down_for_a_while_is_turned_then() -> None:
    one = voice(6.0)
    other = one.copy()
    other[32_000:64_000] *= -1

    out = mixed(one, other)

    for start in range(0, len(out), 8_000):
        assert level(out[start : start + 8_000]) > 0.7 * level(one)


@pytest.mark.parametrize("count", [2, 3, 6, 9, 64])
def test_speech_in_any_one_channel_is_heard(count: int) -> None:
    one = voice()
    for spoken in {0, count // 2, count - 1}:
        channels = [np.zeros_like(one)] * count
        channels[spoken] = one

        assert level(mixed(*channels)) > 0.6 * level(one)


def test_with_a_known_layout_the_low_frequencies_do_not_count() -> None:
    one, rumble = voice(), voice()
    names = ("FL", "FR", "FC", "LFE", "BL", "BR")
    silent = np.zeros_like(one)

    out = mixed(silent, silent, one, rumble, silent, silent, names=names)
    back = mixed(silent, silent, silent, silent, one, silent, names=names)

    assert abs(float(np.corrcoef(out, one)[0, 1])) > 0.99
    assert level(back) > 0.6 * level(one)


def test_silence_stays_silence() -> None:
    silent = np.zeros(5000, np.float32)

    assert not mixed(silent, silent).any()
