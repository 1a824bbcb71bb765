"""One transcript against its reference: errors, holes and times."""

from __future__ import annotations

import jiwer
import pytest
from evaluation_support import scored, spoken
from hypothesis import given
from hypothesis import strategies as st
from whisper_normalizer.english import EnglishTextNormalizer

from scrivano.comparison.alignment import Counts, align, count
from scrivano.domain.transcript import Segment
from scrivano.evaluation.scoring import Hole, TimeErrors

texts = st.lists(st.sampled_from(["one", "two", "Mister", "twenty", "one", "won't", "uh", "don't", "50%"]), max_size=9)


@given(texts, texts)
def test_the_error_rate_is_jiwers_after_whispers_normalizer(reference: list[str], heard: list[str]) -> None:
    said, got = " ".join(reference), " ".join(heard)
    normalize = EnglishTextNormalizer()

    found = scored(said, got, "en").counts

    a, b = " ".join(normalize(said).split()), " ".join(normalize(got).split())
    if a:
        assert found.edits == round(jiwer.wer(a, b) * len(a.split()))
    assert (found.first, found.second) == (len(a.split()), len(b.split()))


@given(texts, texts)
def test_our_alignment_has_as_few_edits_as_jiwers(a: list[str], b: list[str]) -> None:
    if a:
        assert count(align(a, b)).edits == round(jiwer.wer(" ".join(a), " ".join(b)) * len(a))


def test_spelling_case_and_punctuation_are_no_errors() -> None:
    assert scored("Mr. Smith won't pay twenty one dollars", "mister Smith will not pay $21!", "en").rate == 0


def test_normalized_words_have_the_times_of_what_was_written() -> None:
    score = scored("we will not pay", "We won't pay", "en")

    assert [(one.form, one.start, one.end, one.exact) for one in score.heard] == [
        ("we", 0.0, 1.0, True),
        ("will", 1.0, 2.0, False),
        ("not", 1.0, 2.0, False),
        ("pay", 2.0, 3.0, True),
    ]


def test_parts_of_a_written_word_are_shown_one_by_one() -> None:
    assert [one.text for one in scored("re record now", "re-record now").heard] == ["re", "record", "now"]


def test_languages_without_spaces_are_judged_by_characters() -> None:
    said, got = [Segment(start=0, end=4, text="今天天气好。")], [Segment(start=0, end=4, text="今天天汽很好")]
    score = scored(said, got, "zh")

    assert score.by_characters
    assert score.counts == Counts(equal=4, substituted=1, inserted=1)
    assert (score.char_errors, score.char_count) == (2, 5)
    assert [one.form for one in score.reference] == list("今天天气好")


def test_vowel_signs_do_not_divide_words() -> None:
    assert scored("हिन्दी में बात", "हिन्दी में बात", "hi").counts == Counts(equal=3)


@pytest.mark.parametrize(("missing", "holes"), [(7, 0), (8, 1), (9, 1)])
def test_a_hole_is_eight_words_in_a_row(missing: int, holes: int) -> None:
    words = [f"w{n}" for n in range(20)]

    found = scored(" ".join(words), " ".join(words[:5] + words[5 + missing :])).holes

    assert len(found) == holes
    if holes:
        assert found[0] == Hole(missing, " ".join(words[5 : 5 + missing]), 5.0, 5.0 + missing)


def test_a_word_of_the_transcript_ends_a_hole() -> None:
    words = [f"w{n}" for n in range(14)]

    assert scored(" ".join(words), "w7").holes == []


def test_nothing_heard_is_one_hole() -> None:
    score = scored(" ".join(f"w{n}" for n in range(9)), "")

    assert (score.rate, len(score.holes), score.counts.deleted) == (1.0, 1, 9)


def test_words_without_a_reference_are_inserted() -> None:
    score = scored("", "hello there")

    assert (score.counts, score.char_errors, score.char_count) == (Counts(inserted=2), 11, 0)


def test_times_are_compared_where_both_have_the_word() -> None:
    said = [spoken("one two three"), spoken("four five", start=10.0)]
    got = [spoken("one too three", start=0.25), spoken("four five", start=9.5)]

    assert scored(said, got).times == TimeErrors(
        word_starts=(0.25, 0.25, 0.5, 0.5),
        word_ends=(0.25, 0.25, 0.5, 0.5),
        phrase_starts=(0.25, 0.5),
        phrase_ends=(0.25, 0.5),
        segment_starts=(0.25, 0.5),
    )


def test_a_reference_with_times_of_segments_says_nothing_about_single_words() -> None:
    times = scored([Segment(start=0, end=3, text="one two three")], [spoken("one two three", start=0.25)]).times

    assert (times.word_starts, times.phrase_starts, times.phrase_ends) == ((), (0.25,), (0.25,))


def test_a_reference_without_times_says_nothing_about_times() -> None:
    score = scored("one two", "one two", timed=False)

    assert score.times == TimeErrors()
    assert all(one.start is None for one in score.reference)
