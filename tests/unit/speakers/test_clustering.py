"""From voices to speakers."""

from __future__ import annotations

import time

import numpy as np
import pytest
from speaker_material import dialogue, stretch, voice

from scrivano.domain.speakers import SpeakerCount
from scrivano.speakers.chunk_voices import StretchVoices
from scrivano.speakers.clustering import find_centres
from scrivano.speakers.linkage import Groups, Merge, groups_after, merge_all


def found(stretches: list[StretchVoices], count: SpeakerCount | None = None) -> list[int]:
    """Which voices are the speakers."""
    return sorted(int(centre.argmax()) for centre in find_centres(stretches, count))


@pytest.mark.parametrize("voices", [[0], [0, 1], [0, 1, 2], [0, 1, 2, 3, 4, 5]])
def test_each_voice_is_a_speaker(voices: list[int]) -> None:
    assert found([dialogue(voices * 6)]) == voices


def test_centres_are_those_of_the_voices_and_the_one_who_speaks_most_is_first() -> None:
    centres = find_centres([dialogue([1, 0, 0, 0, 1, 0, 0, 0])])

    assert centres[0] @ voice(0) > 0.9
    assert centres[1] @ voice(1) > 0.9
    assert np.linalg.norm(centres, axis=1) == pytest.approx(1)


def test_without_speech_there_is_no_speaker() -> None:
    assert len(find_centres([])) == len(find_centres([stretch([], 10.0)])) == 0


def test_scraps_alone_still_have_a_speaker() -> None:
    assert found([stretch([(0.0, 0.5, 3), (1.0, 1.5, 3), (2.0, 2.5, 3)], 10.0)]) == [3]


def test_a_voice_of_a_second_is_no_speaker() -> None:
    assert found([dialogue([0, 1] * 8), stretch([(0.0, 1.0, 2)], 10.0, start_s=100.0)]) == [0, 1]


def test_a_known_number_of_speakers_is_found() -> None:
    talk = [dialogue([0, 1, 2] * 5)]

    assert len(found(talk, SpeakerCount(exactly=2))) == 2
    assert len(found(talk, SpeakerCount(most=2))) == 2
    assert len(found(talk, SpeakerCount(least=2))) == 3
    assert len(found(talk, SpeakerCount(exactly=3))) == 3


@pytest.mark.parametrize("count", [SpeakerCount(exactly=50), SpeakerCount(least=50)])
def test_of_more_speakers_than_can_be_told_apart_all_are_found(count: SpeakerCount) -> None:
    talk = [dialogue([0, 1, 2] * 3)]

    assert {*found(talk)} == {*found(talk, count)} == {0, 1, 2}


def test_the_order_of_the_work_changes_nothing() -> None:
    talk = [dialogue([0, 1, 2, 1], start_s=20.0 * place) for place in range(4)]

    assert np.array_equal(find_centres(talk), find_centres(list(talk)))


def test_an_hour_is_clustered_in_blocks() -> None:
    talk = [dialogue([0, 1, 0, 2, 1, 3], start_s=27.0 * place) for place in range(130)]
    started = time.process_time()

    assert found(talk) == [0, 1, 2, 3]
    assert time.process_time() - started < 20


def test_the_most_alike_are_joined_first() -> None:
    vectors = np.array([[1.0, 0, 0], [0, 1, 0], [0.9, 0.1, 0], [0, 0.8, 0.2]])
    merges = merge_all(Groups.single(vectors / np.linalg.norm(vectors, axis=1)[:, None], np.ones(4)))

    assert [(merge.kept, merge.gone) for merge in merges] == [(0, 2), (1, 3), (0, 1)]
    assert [merge.cosine for merge in merges] == sorted([merge.cosine for merge in merges], reverse=True)


def test_owners_are_numbered_without_gaps() -> None:
    assert groups_after(4, [Merge(0, 2, 0.9)]).tolist() == [0, 1, 0, 2]
    assert groups_after(3, []).tolist() == [0, 1, 2]


def test_cohesion_is_the_mean_cosine_within_a_group() -> None:
    pair = Groups.single(np.array([[1.0, 0.0], [0.6, 0.8]]), np.array([1.0, 1.0])).joined(np.array([0, 0]))

    assert pair.cohesion() == pytest.approx([0.6])
    assert Groups.single(np.array([[1.0, 0.0]]), np.array([2.0])).cohesion() == pytest.approx([1.0])
