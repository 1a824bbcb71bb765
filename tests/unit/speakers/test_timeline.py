"""From centres to turns."""

from __future__ import annotations

import numpy as np
import pytest
from speaker_material import Turn, dialogue, stretch, voice

from scrivano.speakers.timeline import speaker_turns

CENTRES = np.stack([voice(0), voice(1), voice(2)])


def close(found: list[Turn], expected: list[Turn], within_s: float = 0.4) -> None:
    assert [speaker for *_, speaker in found] == [speaker for *_, speaker in expected]
    assert np.array(found) == pytest.approx(np.array(expected), abs=within_s)


def test_each_stretch_of_speech_has_its_speaker() -> None:
    close(speaker_turns([dialogue([0, 1, 2])], CENTRES), [(0, 4, 0), (4.5, 8.5, 1), (9, 13, 2)])


def test_times_are_those_of_the_file() -> None:
    close(speaker_turns([dialogue([1], start_s=100.0)], CENTRES), [(100, 104, 1)])


def test_a_change_within_speech_is_found() -> None:
    talk = stretch([(0.0, 5.0, 0), (5.0, 10.0, 1)], 10.0)

    close(speaker_turns([talk], CENTRES), [(0, 5, 0), (5, 10, 1)])


def test_a_short_pause_does_not_end_a_turn_not_even_between_stretches() -> None:
    talk = [stretch([(0.0, 4.0, 0)], 4.1), stretch([(0.0, 4.0, 0)], 4.1, start_s=4.2)]

    close(speaker_turns(talk, CENTRES), [(0, 8.2, 0)])


def test_where_two_speak_both_have_a_turn() -> None:
    talk = stretch([(0.0, 6.0, 0), (5.0, 10.0, 1)], 10.0)

    close(speaker_turns([talk], CENTRES), [(0, 6, 0), (5, 10, 1)])


def test_without_speakers_there_are_no_turns() -> None:
    assert speaker_turns([dialogue([0])], np.zeros((0, 192))) == []
    assert speaker_turns([], CENTRES) == []
