"""What the channels of a recording are, from excerpts of it."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from scrivano.domain.chunk import SAMPLE_RATE
from scrivano.media.channels import Content, picture

Samples = NDArray[np.float32]
SECONDS = 40
LENGTH = SECONDS * SAMPLE_RATE


def voice(seed: int, turns: list[tuple[float, float]]) -> Samples:
    """Noise with the rhythm of speech (syllables and pauses), in these stretches; it hums a little, as all rooms do."""
    random = np.random.default_rng(seed)
    times = np.arange(LENGTH) / SAMPLE_RATE
    sound = np.cumsum(random.standard_normal(LENGTH)) % 1.0 - 0.5 + random.standard_normal(LENGTH)
    rhythm = np.clip(np.sin(2 * np.pi * (3 + 0.2 * seed) * times), 0.05, 1)
    spoken = np.any([(start <= times) & (times < end) for start, end in turns], axis=0)
    return np.asarray(0.1 * sound * rhythm * spoken + 1e-4 * random.standard_normal(LENGTH), np.float32)


def hiss(seed: int) -> Samples:
    return np.asarray(0.01 * np.random.default_rng(seed).standard_normal(LENGTH), np.float32)


def delayed(audio: Samples, samples: int) -> Samples:
    return np.concatenate([np.zeros(samples, np.float32), audio[:-samples]])


ONE = voice(1, [(0, 9), (15, 24), (30, 33)])
TWO = voice(2, [(9.5, 15.5), (24, 30), (33, 39)])
RARE = voice(3, [(39, 40)])
TALK = ONE + TWO
SILENCE = np.zeros(LENGTH, np.float32)
LEAK = np.float32(10 ** (-15 / 20))


@pytest.mark.parametrize(
    ("channels", "expected"),
    [
        pytest.param([ONE, TWO], Content.VOICES, id="a call"),
        pytest.param([ONE + LEAK * TWO, TWO + LEAK * ONE], Content.VOICES, id="with a leak"),
        pytest.param([ONE + LEAK * TWO, 0.1 * (TWO + LEAK * ONE)], Content.VOICES, id="one side much quieter"),
        pytest.param([TALK, RARE + LEAK * TALK], Content.VOICES, id="one side hardly speaks"),
        pytest.param([ONE, TWO, RARE], Content.VOICES, id="three voices"),
        pytest.param([TALK, TALK], Content.COPY, id="twice the same"),
        pytest.param([TALK, 0.3 * TALK], Content.COPY, id="a quieter copy"),
        pytest.param([TALK, 0.1 * hiss(1) + TALK], Content.COPY, id="a copy with noise"),
        pytest.param([TALK, delayed(TALK, 1600)], Content.DELAYED_COPY, id="a copy that comes later"),
        pytest.param([TALK, -TALK], Content.INVERTED_COPY, id="upside down"),
        pytest.param([SILENCE, TALK], Content.ONE_SIDE, id="the left side is silent"),
        pytest.param([TALK, 0.1 * hiss(1)], Content.ONE_SIDE, id="the right side hisses"),
        pytest.param([TALK, 0.7 * TALK + 0.5 * voice(4, [(0, 40)])], Content.STEREO, id="the same voices and a band"),
        pytest.param([ONE + 0.6 * TWO, TWO + 0.6 * delayed(ONE, 40)], Content.STEREO, id="a room"),
    ],
)
def test_what_the_channels_are(channels: list[Samples], expected: Content) -> None:
    seen = picture([np.stack(channels, axis=1)])

    assert seen is not None
    assert seen.content is expected


@pytest.mark.parametrize(
    "channels",
    [
        pytest.param([], id="nothing"),
        pytest.param([ONE], id="one channel"),
        pytest.param([SILENCE, SILENCE], id="silence"),
        pytest.param([ONE[:8000], TWO[:8000]], id="half a second"),
    ],
)
def test_too_little_to_tell(channels: list[Samples]) -> None:
    assert picture([np.stack(channels, axis=1)] if channels else []) is None


def test_the_best_channel_is_the_loudest_with_speech() -> None:
    seen = picture([np.stack([30 * hiss(1), 0.1 * TALK], axis=1)])

    assert seen is not None
    assert (seen.content, seen.best) == (Content.ONE_SIDE, 1)
    seen = picture([np.stack([0.5 * TALK, TALK], axis=1)])
    assert seen is not None
    assert (seen.best, round(seen.gains_db[0])) == (1, -6)


@pytest.mark.parametrize("leak_db", [-12, -15, -25])
def test_the_leak_is_measured(leak_db: float) -> None:
    leak = np.float32(10 ** (leak_db / 20))
    seen = picture([np.stack([ONE + leak * TWO, TWO + leak * ONE], axis=1)])

    assert seen is not None
    assert [seen.leak_db[0][1], seen.leak_db[1][0]] == pytest.approx([leak_db, leak_db], abs=1.0)


def test_excerpts_are_looked_at_together() -> None:
    call = np.stack([ONE, TWO], axis=1)

    assert picture(np.split(call, 10)) is not None
    assert picture(np.split(call, 10)).content is Content.VOICES  # type: ignore[union-attr]


def test_a_side_that_speaks_once_is_not_left_out() -> None:
    once = voice(3, [(20, 21.5)])
    seen = picture([np.stack([voice(1, [(0, 40)]), once], axis=1)])

    assert seen is not None
    assert seen.content is Content.VOICES


def test_a_short_word_is_no_background() -> None:
    word = SILENCE.copy()
    word[320000:328000] = voice(3, [(0, 40)])[320000:328000]
    seen = picture([np.stack([TALK, word], axis=1)])

    assert seen is not None
    assert seen.content is Content.ONE_SIDE
    assert seen.floor_db[1] == pytest.approx(-90, abs=1)
