from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scrivano.running.language import VOTERS, Choice, Detection, JobLanguage, is_other_language, vote


def heard(language: str, probability: float, seconds: float = 20.0) -> Detection:
    other = "it" if language == "en" else "en"
    return Detection({language: probability, other: round(1 - probability, 6)}, seconds)


def languages_of(*detections: Detection) -> list[str | None]:
    """Of the chunks of a multilingual recording."""
    languages = JobLanguage(None, multilingual=True)
    for index, detection in enumerate(detections):
        languages.detect(index, detection)
    languages.complete(len(detections))
    return [languages.of(index) for index in range(len(detections))]


SILENT = Detection({"ja": 0.9}, 0.0)

detections = st.builds(
    heard,
    st.sampled_from(["en", "it"]),
    st.sampled_from([0.5, 0.55, 0.7, 0.85, 0.99]),
    st.sampled_from([0.0, 1.0, 2.5, 8.0, 30.0]),
)


# The vote


def test_one_certain_chunk_decides_at_once() -> None:
    assert vote([heard("en", 0.9)], complete=False) == Choice("en", 0.9)


@pytest.mark.parametrize("unsure", [heard("en", 0.7), heard("en", 0.99, seconds=2.0), SILENT])
def test_an_unsure_first_chunk_leaves_it_to_the_next_ones(unsure: Detection) -> None:
    assert vote([unsure], complete=False) is None
    choice = vote([unsure, heard("it", 0.99, seconds=29.0), heard("it", 0.99, seconds=29.0)], complete=False)
    assert choice is not None
    assert choice.language == "it"


def test_seconds_are_the_weight() -> None:
    choice = vote([heard("en", 0.75, seconds=4.0), heard("it", 0.6, seconds=20.0)], complete=True)

    assert choice is not None
    assert (choice.language, round(choice.probability, 4)) == ("it", round((0.25 * 4 + 0.6 * 20) / 24, 4))


def test_three_chunks_with_words_are_enough() -> None:
    unsure = [heard("en", 0.55), SILENT, heard("it", 0.6), heard("en", 0.6)]

    assert vote(unsure[:3], complete=False) is None
    assert vote(unsure, complete=False) == vote([*unsure, heard("it", 1.0)], complete=False) != None  # noqa: E711


def test_where_nobody_speaks_all_chunks_vote() -> None:
    assert vote([SILENT, SILENT], complete=False) is None
    assert vote([SILENT, SILENT], complete=True) == Choice("ja", 0.9, guessed=True)
    assert vote([], complete=True) is None


def test_the_first_chunk_is_decoded_alone_and_when_it_does_not_tell_as_many_as_have_a_vote() -> None:
    languages = JobLanguage(None)
    assert languages.voters() == [0]
    languages.detect(0, heard("en", 0.5))
    assert languages.voters() == [0, 1, 2]
    languages.detect(1, SILENT)
    assert languages.voters() == [0, 2, 3]


# Several languages


def test_a_clear_chunk_switches_and_an_unclear_one_stays() -> None:
    found = languages_of(heard("en", 0.9), heard("it", 0.55), heard("en", 0.9), heard("it", 0.7), heard("en", 0.55))

    assert found == ["en", "en", "en", "it", "it"]


def test_a_short_word_does_not_switch() -> None:
    assert languages_of(heard("en", 0.9), heard("it", 0.99, seconds=1.0), heard("en", 0.9)) == ["en", "en", "en"]


def test_two_unclear_chunks_that_agree_switch_even_with_silence_between_them() -> None:
    unclear = heard("it", 0.99, seconds=2.0)

    assert languages_of(heard("en", 0.9), unclear, SILENT, unclear) == ["en", "it", "it", "it"]


def test_an_unclear_beginning_follows_the_vote() -> None:
    assert languages_of(heard("it", 0.55), heard("en", 0.9), heard("en", 0.9)) == ["en", "en", "en"]
    assert languages_of(heard("it", 0.55), heard("it", 0.55), heard("en", 0.9)) == ["it", "it", "en"]


def test_a_chunk_waits_for_the_next_one_only_where_it_differs_and_is_unclear() -> None:
    languages = JobLanguage(None, multilingual=True)
    for index, detection in enumerate([heard("en", 0.9), heard("en", 0.55), heard("it", 0.55)]):
        languages.detect(index, detection)
    assert [languages.of(index) for index in range(3)] == ["en", "en", None]

    languages.complete(3)

    assert languages.of(2) == "en"


@given(st.lists(detections, min_size=1, max_size=9), st.booleans(), st.data())
def test_the_order_of_arrival_changes_nothing(found: list[Detection], multilingual: bool, data: st.DataObject) -> None:
    at_once = JobLanguage(None, multilingual=multilingual)
    for index, detection in enumerate(found):
        at_once.detect(index, detection)
    at_once.complete(len(found))
    whole = {index: at_once.of(index) for index in range(len(found))}

    languages = JobLanguage(None, multilingual=multilingual)
    planned = data.draw(st.integers(0, len(found)))
    early = dict[int, str]()
    for place, index in enumerate(data.draw(st.permutations(range(len(found))))):
        languages.detect(index, found[index])
        if place >= planned:
            languages.complete(len(found))
        early = {**known(languages, len(found)), **early}  # what was ever said is never taken back

    languages.complete(len(found))
    assert known(languages, len(found)) == whole
    assert early.items() <= whole.items()
    assert languages.choice == at_once.choice


def known(languages: JobLanguage, count: int) -> Mapping[int, str]:
    return {index: language for index in range(count) if (language := languages.of(index)) is not None}


@given(st.lists(detections, min_size=VOTERS, max_size=9))
def test_a_vote_ends_after_three_chunks_with_words_and_later_ones_do_not_count(found: list[Detection]) -> None:
    speaking = [place for place, detection in enumerate(found, 1) if detection.seconds]
    if len(speaking) >= VOTERS:
        early = vote(found[: speaking[VOTERS - 1]], complete=False)
        assert early is not None
        assert early == vote(found, complete=True)


# Text in another language than is spoken


@pytest.mark.parametrize(
    ("probabilities", "seconds", "multilingual", "other"),
    [
        ({"fr": 0.99, "en": 0.01}, 23.0, False, True),
        ({"fr": 0.99, "en": 0.01}, 4.0, False, False),  # a name, a few words
        ({"it": 0.45, "en": 0.41}, 26.0, False, False),  # a close relative, in clear speech
        ({"fr": 0.5, "en": 0.37, "ru": 0.07}, 19.0, False, False),
        ({"fr": 0.5, "en": 0.37, "ru": 0.07}, 19.0, True, True),  # four languages in one chunk
        ({"en": 0.7, "fr": 0.3}, 19.0, True, False),
        ({}, 19.0, True, False),  # not detected
    ],
)
def test_a_text_in_another_language_than_is_spoken_is_noticed(
    probabilities: Mapping[str, float], seconds: float, multilingual: bool, other: bool
) -> None:
    assert is_other_language("en", probabilities, seconds, multilingual=multilingual) is other
