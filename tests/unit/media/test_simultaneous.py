"""Two tracks of one file: a conversation, a copy, or two versions of one programme."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from scrivano.media.simultaneous import SECOND, Relation, TrackSound, relation

Turns = Sequence[tuple[float, float]]


def sound(turns: Turns, seconds: float = 60.0, *, seed: int = 1) -> TrackSound:
    """Speech of changing loudness in these turns (seconds)."""
    speech = np.zeros(round(seconds * SECOND), np.bool_)
    for start, end in turns:
        speech[round(start * SECOND) : round(end * SECOND)] = True
    changes = np.random.default_rng(seed).normal(-3, 1, len(speech)).astype(np.float32)
    return TrackSound(speech, np.where(speech, changes, np.float32(-9)))


TALK = sound([(0, 10), (20, 30), (40, 50)])
FILM = sound([(0, 25), (27, 55)])


@pytest.mark.parametrize(
    ("main", "other", "expected"),
    [
        pytest.param(TALK, sound([(10.5, 19), (31, 39)], seed=2), Relation.PARTNER, id="in turn"),
        pytest.param(TALK, sound([(2, 3), (22, 22.5)], seed=2), Relation.PARTNER, id="a word in between"),
        pytest.param(TALK, sound([(9, 21), (29, 41)], seed=2), Relation.PARTNER, id="interrupting"),
        pytest.param(TALK, TALK, Relation.COPY, id="the same"),
        pytest.param(sound([(0, 60)]), sound([(0, 60.2)], 60.2), Relation.COPY, id="the same, a little longer"),
        pytest.param(TALK, sound([(20.2, 30)]), Relation.COPY, id="a part of it"),
        pytest.param(TALK, sound([(0, 10), (12, 18), (20, 30)]), Relation.MORE, id="crosstalk and more"),
        pytest.param(FILM, sound([(3, 30), (31, 58)], seed=2), Relation.VERSION, id="a commentary"),
        pytest.param(TALK, sound([(70, 80)], 90, seed=2), Relation.PARTNER, id="later"),
        pytest.param(TALK, sound([(0, 1)], 1.0, seed=2), Relation.PARTNER, id="hardly anything to compare"),
        pytest.param(TALK, sound([], 0.0), Relation.PARTNER, id="nothing to compare"),
    ],
)
def test_relation(main: TrackSound, other: TrackSound, expected: Relation) -> None:
    assert relation(main, other) is expected


def test_partners_are_one_conversation() -> None:
    both = TALK.mixed(sound([(10.5, 19)], 90.0, seed=2))

    assert (len(both.speech), len(both.loudness)) == (90 * SECOND, 90 * SECOND)
    assert np.count_nonzero(both.speech) == pytest.approx(38.5 * SECOND, abs=2)
    assert relation(both, sound([(10.5, 19)], 90.0, seed=2)) is Relation.COPY
