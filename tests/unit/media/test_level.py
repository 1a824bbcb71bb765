"""Float audio of any level → 16 bits."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from scrivano.media.level import Level

Samples = NDArray[np.float32]
BLOCK = 32_768


def applied(audio: Samples, level: Level | None = None) -> NDArray[np.int16]:
    blocks = [audio[start : start + BLOCK].copy() for start in range(0, len(audio), BLOCK)]
    return np.concatenate(list((level or Level()).apply(blocks)))


def sound(rms: float, seconds: float = 10.0) -> Samples:
    return (np.random.default_rng(1).standard_normal(round(seconds * 16_000)) * rms).astype(np.float32)


def rms(audio: NDArray[np.int16]) -> float:
    return float(np.sqrt(np.mean(np.square(audio.astype(np.float64) / 32768))))


def test_sixteen_bits_of_usual_level_stay_the_same() -> None:
    original = np.random.default_rng(1).integers(-20_000, 20_000, 100_000).astype(np.int16)

    np.testing.assert_array_equal(applied(original.astype(np.float32) / np.float32(32768)), original)


def test_a_quiet_recording_is_amplified() -> None:
    level = Level()

    assert rms(applied(sound(0.001), level)) == pytest.approx(0.05, rel=0.1)
    assert level.amplified_at == 0
    assert level.most_gain_db == 34


def test_a_constant_offset_hides_no_quiet_recording() -> None:
    level = Level()
    quiet = sound(0.001)

    audio = applied(quiet + np.float32(0.3), level)[BLOCK:]

    assert rms(audio) == pytest.approx(0.05, rel=0.1)
    assert abs(np.mean(audio / 32768)) < 0.001


def test_pauses_between_loud_sounds_are_not() -> None:
    level = Level()
    audio = np.concatenate([sound(0.1), sound(0.0005, 20.0), sound(0.1)])

    assert rms(applied(audio, level)[200_000:400_000]) == pytest.approx(0.0005, rel=0.1)
    assert level.amplified_at is None


def test_a_loud_sound_after_a_quiet_one_is_not_clipped() -> None:
    level = Level()

    audio = applied(np.concatenate([sound(0.001), sound(0.1)]), level)

    assert rms(audio[-100_000:]) == pytest.approx(0.1, rel=0.1)
    assert not level.clipped


@pytest.mark.parametrize("scale", [32768.0, 2.0**31])
def test_integers_in_a_float_format_are_scaled(scale: float) -> None:
    level = Level()
    level.integers = True

    assert rms(applied(sound(0.1) * np.float32(scale), level)) == pytest.approx(0.1, rel=0.1)
    assert level.scaled


def test_no_codec_of_floats_is_taken_for_integers() -> None:
    assert not applied(np.zeros(100, np.float32)).any()
    assert np.abs(applied(sound(30.0))).max() >= 32767


def test_clipping_is_noticed() -> None:
    level = Level()
    applied(np.clip(sound(0.8), -1, 1), level)

    assert level.clipped


def test_what_is_no_number_is_silence() -> None:
    assert not applied(np.array([np.nan, np.inf, -np.inf], np.float32)).any()
