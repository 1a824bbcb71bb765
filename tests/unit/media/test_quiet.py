"""Quiet stretches are amplified for the detection of speech; everything else stays to the last bit."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from scrivano.media.chunking import WINDOW
from scrivano.media.quiet import amplified

RATE = 16_000
Samples = NDArray[np.int16]


def sound(db: float, seconds: float) -> Samples:
    noise = np.random.default_rng(1).standard_normal(round(seconds * RATE))
    return np.rint(noise * 10 ** (db / 20) * 32768).clip(-32768, 32767).astype(np.int16)


def applied(audio: Samples, windows: int = 64) -> Samples:
    whole = audio[: len(audio) // WINDOW * WINDOW]
    size = windows * WINDOW
    return np.concatenate([*amplified([whole[start : start + size] for start in range(0, len(whole), size)])])


def level(audio: Samples) -> float:
    """dB of full scale."""
    return float(20 * np.log10(np.sqrt(np.mean(np.square(audio.astype(np.float64) / 32768)))))


def test_a_quiet_stretch_beside_a_loud_one_is_amplified() -> None:
    audio = np.concatenate([sound(-20, 4), sound(-60, 4), sound(-20, 4)])

    louder = applied(audio)

    assert level(louder[5 * RATE : 7 * RATE]) == pytest.approx(-26, abs=1)
    for loud in (slice(0, 4 * RATE), slice(8 * RATE, 11 * RATE)):
        np.testing.assert_array_equal(louder[loud], audio[loud])


@pytest.mark.parametrize("pause_s", [0.3, 1.0])
def test_a_pause_is_not(pause_s: float) -> None:
    audio = np.concatenate([sound(-20, 2), sound(-60, pause_s), sound(-20, 2)])

    louder = applied(audio)

    np.testing.assert_array_equal(louder, audio[: len(louder)])


def test_a_short_word_in_silence_is_not_clipped() -> None:
    audio = np.concatenate([sound(-70, 3), sound(-20, 0.2), sound(-70, 3)])

    louder = applied(audio)

    word = slice(3 * RATE, 3 * RATE + RATE // 5)
    np.testing.assert_array_equal(louder[word], audio[word])


def test_a_click_does_not_hide_the_quiet_stretch_that_it_is_in() -> None:
    audio = np.concatenate([sound(-60, 3), sound(-10, 0.03), sound(-60, 3)])

    assert level(applied(audio)[: 2 * RATE]) == pytest.approx(-26, abs=1)
    assert level(applied(audio)[RATE * 28 // 10 : RATE * 29 // 10]) == pytest.approx(-26, abs=2)


def test_no_gain_exceeds_forty_db_and_digital_silence_stays() -> None:
    assert level(applied(sound(-80, 4))[RATE : 3 * RATE]) == pytest.approx(-40, abs=1)
    assert not applied(np.zeros(4 * RATE, np.int16)).any()


def test_blocks_of_any_size_give_the_same_audio() -> None:
    audio = np.concatenate([sound(-20, 2), sound(-55, 3), sound(-20, 1), sound(-70, 2)])
    whole = applied(audio, windows=10_000)

    for windows in (1, 7, 19, 64):
        np.testing.assert_array_equal(applied(audio, windows), whole)


def test_nothing_is_nothing() -> None:
    assert list(amplified([])) == []
