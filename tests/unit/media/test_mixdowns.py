"""One channel in place of copies, and all of them where another one has something new."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scrivano.domain.chunk import SAMPLE_RATE
from scrivano.media.channels import Content, Picture
from scrivano.media.downmix import Downmix
from scrivano.media.mixdowns import mix_of, side_of

Samples = NDArray[np.float32]
PIECE = 2 * SAMPLE_RATE
RNG = np.random.default_rng(5)
SOUND = np.asarray(0.1 * RNG.standard_normal(PIECE), np.float32)
NEW = np.asarray(0.1 * RNG.standard_normal(PIECE), np.float32)
NAMES = ("FL", "FR")


def seen(content: Content, *, floor: float | None = None) -> Picture:
    return Picture(content, 2, 0, (0.0, 0.0), (None, floor), ((0.0, 0.0), (0.0, 0.0)))


def test_a_delayed_copy_is_left_out() -> None:
    late = np.concatenate([np.zeros(3200, np.float32), SOUND[:-3200]])
    mixdown = mix_of(seen(Content.DELAYED_COPY))(NAMES)

    np.testing.assert_array_equal(mixdown.mix(np.stack([SOUND, late], axis=1)), SOUND)


def test_what_a_silent_side_says_after_all_is_kept() -> None:
    mixdown = mix_of(seen(Content.ONE_SIDE, floor=-80.0))(NAMES)
    hiss = np.asarray(1e-4 * RNG.standard_normal(PIECE), np.float32)

    np.testing.assert_array_equal(mixdown.mix(np.stack([SOUND, hiss], axis=1)), SOUND)
    both = np.stack([np.zeros(PIECE, np.float32), NEW], axis=1)
    np.testing.assert_allclose(mixdown.mix(both)[1024:], Downmix(NAMES).mix(both)[1024:], atol=1e-6)
    again = mixdown.mix(np.stack([SOUND, hiss], axis=1))
    np.testing.assert_array_equal(again[256:], SOUND[256:])


def test_a_faint_leak_is_nothing_new() -> None:
    picture = Picture(Content.ONE_SIDE, 2, 0, (0.0, -45.0), (None, -80.0), ((0.0, -35.0), (0.0, 0.0)))
    mixdown = mix_of(picture)(NAMES)

    np.testing.assert_array_equal(mixdown.mix(np.stack([SOUND, 0.018 * SOUND], axis=1)), SOUND)
    both = np.stack([SOUND, NEW], axis=1)
    np.testing.assert_allclose(mixdown.mix(both)[1024:], Downmix(NAMES).mix(both)[1024:], atol=1e-6)


def test_rooms_are_mixed() -> None:
    assert mix_of(seen(Content.STEREO)) is Downmix
    assert mix_of(None) is Downmix


def test_a_side_is_one_channel_and_silent_where_the_recording_has_not_so_many() -> None:
    both = np.stack([SOUND, NEW], axis=1)

    np.testing.assert_array_equal(side_of(1)(NAMES).mix(both), NEW)
    assert not side_of(1)(("FC",)).mix(SOUND[:, None]).any()
    np.testing.assert_array_equal(side_of(0)(("FC",)).mix(SOUND[:, None]), SOUND)
