from __future__ import annotations

from array import array
from dataclasses import replace

import pytest

from scrivano.domain.errors import BadRequest
from scrivano.domain.speakers import Diarization, Speaker, SpeakerCount, Turn, default_name, overlaps, sides_as_speakers


def test_overlaps_are_where_several_speak() -> None:
    turns = [Turn(0, 5, "S1"), Turn(4, 8, "S2"), Turn(4.5, 6, "S3"), Turn(9, 10, "S1")]

    assert overlaps(turns) == [
        (4, 4.5, ["S1", "S2"]),
        (4.5, 5, ["S1", "S2", "S3"]),
        (5, 6, ["S2", "S3"]),
    ]


def test_turns_that_only_touch_do_not_overlap() -> None:
    assert overlaps([Turn(0, 5, "S1"), Turn(5, 8, "S2")]) == []


@pytest.mark.parametrize(
    ("count", "found", "wanted"),
    [
        (SpeakerCount(), 4, None),
        (SpeakerCount(exactly=2), 4, 2),
        (SpeakerCount(least=3), 2, 3),
        (SpeakerCount(least=3), 5, None),
        (SpeakerCount(most=3), 5, 3),
        (SpeakerCount(least=2, most=3), 3, None),
    ],
)
def test_how_many_speakers_to_look_for(count: SpeakerCount, found: int, wanted: int | None) -> None:
    assert count.wanted(found) == wanted


def test_a_speaker_has_a_name_from_the_start() -> None:
    assert default_name("S12") == "Speaker 12"


def vector(*values: float) -> bytes:
    return array("f", values).tobytes()


FOUND = Diarization(
    speakers=(
        Speaker(id="S1", name="Speaker 1", seconds=6.0),
        Speaker(id="S2", name="Ada", seconds=4.0),
        Speaker(id="S3", name="Speaker 3", seconds=2.0),
    ),
    turns=(Turn(0, 6, "S1"), Turn(5, 7, "S3"), Turn(7, 11, "S2")),
    centres={"S1": vector(1, 0), "S2": vector(0, 1), "S3": vector(0, 1)},
)


def test_speakers_who_are_the_same_person_become_one() -> None:
    merged = FOUND.merged({"S3": "S1"})

    assert [(speaker.id, speaker.seconds) for speaker in merged.speakers] == [("S1", 7.0), ("S2", 4.0)]
    assert merged.turns == (Turn(0, 7, "S1"), Turn(7, 11, "S2"))
    assert list(array("f", merged.centres["S1"])) == pytest.approx([0.9487, 0.3162], abs=1e-4)
    assert merged.centres["S2"] == FOUND.centres["S2"]
    assert "S3" not in merged.centres


def test_who_was_merged_is_merged_again_by_the_first_ids() -> None:
    merged = FOUND.merged({"S3": "S1"})
    assert {first: (one.now, one.centre) for first, one in merged.merged_from.items()} == {
        "S1": ("S1", FOUND.centres["S1"]),
        "S3": ("S1", FOUND.centres["S3"]),
    }
    again = merged.merged({"S1": "S2"})
    assert {first: one.now for first, one in again.merged_from.items()} == {"S1": "S2", "S2": "S2", "S3": "S2"}

    merges = {"S3": "S1", "S7": "S2"}
    assert FOUND.merged_as_before(merges) == merged
    alone = replace(FOUND, speakers=FOUND.speakers[1:], turns=FOUND.turns[1:]).merged_as_before(merges)
    assert [(one.id, one.seconds) for one in alone.speakers] == [("S2", 4.0), ("S1", 2.0)], "S1 said nothing else"


def test_a_chain_of_merges_ends_at_the_one_who_stays() -> None:
    assert FOUND.targets({"S3": "S2", "S2": "S1"}) == {"S3": "S1", "S2": "S1"}


def test_names_are_one_line_and_blank_ones_are_the_first_names() -> None:
    named = FOUND.renamed({"S1": "  Bob \n Smith\x00 ", "S2": " "})

    assert [speaker.name for speaker in named.speakers] == ["Bob Smith", "Speaker 2", "Speaker 3"]
    assert named.turns == FOUND.turns


@pytest.mark.parametrize("merge", [{"S9": "S1"}, {"S1": "S9"}, {"S1": "S1"}, {"S1": "S2", "S2": "S1"}])
def test_impossible_merges_are_refused(merge: dict[str, str]) -> None:
    with pytest.raises(BadRequest):
        FOUND.merged(merge)


def test_an_unknown_id_is_refused_with_the_known_ones() -> None:
    with pytest.raises(BadRequest, match="there is no speaker S9; the speakers are S1, S2, S3"):
        FOUND.renamed({"S9": "Eve"})


def test_each_side_of_a_recording_is_a_speaker_who_may_say_nothing() -> None:
    found = sides_as_speakers([[(0.0, 2.0), (2.2, 3.0), (5.0, 6.0)], [(2.5, 4.0)], []], {"S1": "agent", "S3": " "})

    assert [(one.id, one.name, one.seconds) for one in found.speakers] == [
        ("S1", "agent", 4.0),
        ("S2", "Speaker 2", 1.5),
        ("S3", "Speaker 3", 0.0),
    ]
    assert found.turns == (Turn(0.0, 3.0, "S1"), Turn(2.5, 4.0, "S2"), Turn(5.0, 6.0, "S1"))
    assert found.centres == {}
    assert found.merged({"S2": "S1"}).turns == (Turn(0.0, 4.0, "S1"), Turn(5.0, 6.0, "S1"))
