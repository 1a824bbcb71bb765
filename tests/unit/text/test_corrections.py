"""A person's correction of a segment: times of words, and the way back."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scrivano.text.corrections import corrected, restored


def segment(*words: str, **more: Any) -> dict[str, Any]:
    """A word a second, starting at 10 s."""
    timed = [
        {"text": word, "start": 10.0 + n, "end": 10.8 + n, "probability": 0.5, **more} for n, word in enumerate(words)
    ]
    text = "".join(words)
    return {"index": 3, "start": 10.0, "end": 10.0 + len(words), "text": text, "words": timed, "tokens": [1, 2]}


HELLO = segment("Hello,", " wurld", " again")


def times(found: dict[str, Any]) -> list[tuple[str, float, float]]:
    return [(word["text"], word["start"], word["end"]) for word in found["words"]]


def test_words_that_stay_keep_their_times_and_a_new_word_gets_those_of_the_old_one() -> None:
    found = corrected(HELLO, "  Hello, world\nagain ")

    assert found["text"] == "Hello, world again"
    assert times(found) == [("Hello,", 10.0, 10.8), (" world", 11.0, 11.8), (" again", 12.0, 12.8)]
    assert [word["probability"] for word in found["words"]] == [0.5, 1.0, 0.5]
    assert found["tokens"] == []
    assert (found["start"], found["end"], found["index"]) == (10.0, 13.0, 3)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello, big wide again", [("Hello,", 10.0, 10.8), (" big", 11.0, 11.356), (" wide", 11.356, 11.8)]),
        ("Hello, wurld right again", [("Hello,", 10.0, 10.8), (" wurld", 11.0, 11.8), (" right", 11.8, 12.0)]),
        ("So Hello, wurld again", [("So", 10.0, 10.0), (" Hello,", 10.0, 10.8), (" wurld", 11.0, 11.8)]),
        ("Hello, again", [("Hello,", 10.0, 10.8), (" again", 12.0, 12.8)]),
        ("hello wurld again", [("hello", 10.0, 10.8), (" wurld", 11.0, 11.8)]),
    ],
    ids=["more", "added", "added-first", "fewer", "punctuation"],
)
def test_new_words_share_the_time_of_those_that_they_replace(text: str, expected: list[Any]) -> None:
    assert times(corrected(HELLO, text))[: len(expected)] == expected


def test_what_a_person_has_written_is_not_in_doubt() -> None:
    doubtful = {**HELLO, "quality": {"word_probability": 0.5, "doubtful": ["guessed"], "repaired": True}}

    found = corrected(doubtful, "Hello, world again")

    assert found["quality"] == {"word_probability": 0.6667, "doubtful": [], "repaired": True}
    assert corrected(found, "")["quality"]["word_probability"] is None
    assert restored(corrected(found, "Bye")) == doubtful


def test_quality_is_restored_also_after_a_correction_of_an_earlier_version() -> None:
    quality = {"word_probability": 0.5, "doubtful": ["guessed"], "repaired": False}
    earlier = {**corrected(HELLO, "Hello, world again"), "quality": quality}

    assert restored(corrected(earlier, "Bye")) == {**HELLO, "quality": quality}


def test_the_model_s_text_is_kept_through_several_corrections_and_can_be_restored() -> None:
    twice = corrected(corrected(HELLO, "Hello, world again"), "Bye")

    assert twice["original"] == {"text": "Hello, wurld again", "words": HELLO["words"], "tokens": [1, 2]}
    assert restored(twice) == HELLO
    assert corrected(twice, HELLO["text"]) == HELLO
    assert restored(HELLO) == HELLO


def test_fields_that_a_correction_does_not_know_stay() -> None:
    found = corrected({**segment("Hello", " you", speaker="S1"), "speaker": "S1"}, "Hello there you")

    assert found["speaker"] == "S1"
    assert [word["speaker"] for word in found["words"]] == ["S1"] * 3


def test_a_segment_without_words_gets_none_and_an_empty_text_leaves_none() -> None:
    assert corrected({**HELLO, "words": []}, "Other")["words"] == []
    assert corrected(HELLO, " ")["words"] == []
    assert corrected(HELLO, " ")["text"] == ""


def test_chinese_characters_are_words() -> None:
    found = corrected(segment("你", "好", "吗"), "你很好 OK")

    assert [word["text"] for word in found["words"]] == ["你", "很", "好", " OK"]


@given(st.lists(st.text(st.characters(codec="utf-8"), min_size=1, max_size=5), max_size=6), st.text(max_size=40))
def test_joined_words_are_the_text_and_times_stay_in_order(old: list[str], text: str) -> None:
    found = corrected(segment(*old), text)

    if "original" in found and old:
        assert "".join(word["text"] for word in found["words"]) == found["text"]
    ordered = [time for word in found["words"] for time in (word["start"], word["end"])]
    assert ordered == sorted(ordered)
    assert restored(found) == segment(*old)
