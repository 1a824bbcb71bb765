"""Ids and names of speakers."""

from __future__ import annotations

import numpy as np
from speaker_material import dialogue, voice

from scrivano.speakers.naming import Known, name_speakers


def known(number: int, name: str, speaker_id: str | None = None) -> Known:
    return Known(name=name, centre=voice(number).astype(np.float32), id=speaker_id)


def test_speakers_are_numbered_in_the_order_in_which_they_begin() -> None:
    naming = name_speakers([dialogue([2, 0, 0, 0, 2, 0])])

    assert [(one.id, one.name) for one in naming.voices] == [("S1", None), ("S2", None)]
    assert naming.voices[0].centre @ voice(2) > 0.9
    assert [turn[2] for turn in naming.turns] == [0, 1, 1, 1, 0, 1]


def test_speakers_of_an_earlier_version_keep_id_and_name() -> None:
    naming = name_speakers([dialogue([2, 0, 1] * 3)], known=[known(0, "Ada", "S1"), known(2, "Bob", "S4")])

    assert [(one.id, one.name) for one in naming.voices] == [("S4", "Bob"), ("S1", "Ada"), ("S5", None)]


def test_a_known_voice_gives_its_name_to_one_speaker_alone() -> None:
    naming = name_speakers([dialogue([0, 1] * 4)], known=[known(1, "Ada"), known(7, "Eve")])

    assert [(one.id, one.name) for one in naming.voices] == [("S1", None), ("S2", "Ada")]


def test_without_speech_there_is_nobody() -> None:
    assert name_speakers([], known=[known(1, "Ada")]).voices == ()
