"""The far voice is silenced on each side of a call, and its own is not."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from scrivano.domain.chunk import SAMPLE_RATE
from scrivano.media.leak import FRAME, silence_leaks

Samples = NDArray[np.float32]
BLOCK = 128 * FRAME
SECONDS = 20
LENGTH = SECONDS * SAMPLE_RATE


def voice(seed: int, start: float, end: float) -> Samples:
    times = np.arange(LENGTH) / SAMPLE_RATE
    rhythm = np.clip(np.sin(2 * np.pi * (3 + 0.3 * seed) * times), 0.02, 1)
    sound = np.random.default_rng(seed).standard_normal(LENGTH) * rhythm * ((start <= times) & (times < end))
    return np.asarray(0.1 * sound, np.float32)


def gated(sides: Sequence[Samples], leak_db: Sequence[Sequence[float]] | None, block: int = BLOCK) -> list[Samples]:
    blocks = [[side[at : at + block] for side in sides] for at in range(0, LENGTH, block)]
    return [np.concatenate(parts) for parts in zip(*silence_leaks(blocks, leak_db), strict=True)]


def level_db(audio: Samples, start: float, end: float) -> float:
    part = audio[round(start * SAMPLE_RATE) : round(end * SAMPLE_RATE)]
    return float(10 * np.log10(np.mean(np.square(part)) + 1e-12))


def leaking(left: Samples, right: Samples, leak_db: float, delay: int = 0) -> list[Samples]:
    gain = np.float32(10 ** (leak_db / 20))
    late = [np.concatenate([np.zeros(delay, np.float32), one[: LENGTH - delay]]) for one in (left, right)]
    return [np.asarray(left + gain * late[1], np.float32), np.asarray(right + gain * late[0], np.float32)]


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("delay", [0, 800])
def test_only_its_own_voice_is_heard_on_a_side(known: bool, delay: int) -> None:
    left, right = voice(1, 1, 7), voice(2, 9, 17)
    sides = leaking(left, right, -15, delay)

    heard = gated(sides, [[0, -15], [-15, 0]] if known else None)

    assert level_db(heard[1], 1, 8.5) < -100
    assert level_db(heard[0], 8.5, 17) < -100
    np.testing.assert_array_equal(heard[0][: 7 * SAMPLE_RATE], sides[0][: 7 * SAMPLE_RATE])
    at = 9 * SAMPLE_RATE
    np.testing.assert_array_equal(heard[1][at : 17 * SAMPLE_RATE], sides[1][at : 17 * SAMPLE_RATE])


def test_voices_that_overlap_are_kept_on_both_sides() -> None:
    left, right = voice(1, 1, 12), voice(2, 8, 16)
    heard = gated(leaking(left, right, -15), [[0, -15], [-15, 0]])

    for side, own in zip(heard, (left, right), strict=True):
        assert level_db(side, 8.5, 11.5) > level_db(own, 8.5, 11.5) - 1


def test_sides_without_a_leak_keep_what_is_much_quieter_than_the_other() -> None:
    left, right = voice(1, 1, 18), np.float32(0.05) * voice(2, 8, 16)
    heard = gated([left, right], [[0, -60], [-60, 0]])

    assert level_db(heard[1], 9, 15) > level_db(right, 9, 15) - 1


def test_what_is_silenced_does_not_depend_on_the_blocks() -> None:
    sides = leaking(voice(1, 1, 8), voice(2, 7, 17), -15)

    for one, other in zip(gated(sides, None), gated(sides, None, BLOCK // 2), strict=True):
        np.testing.assert_array_equal(one, other)


def test_three_sides() -> None:
    sides = [voice(1, 1, 6), voice(2, 7, 12), voice(3, 13, 18)]
    mixed = [one + np.float32(0.1) * sum(sides, np.zeros(LENGTH, np.float32)) for one in sides]

    heard = gated(mixed, None)

    for number, side in enumerate(heard):
        spoken = [level_db(side, 6 * turn + 2, 6 * turn + 5) > -60 for turn in range(3)]
        assert spoken == [turn == number for turn in range(3)]
