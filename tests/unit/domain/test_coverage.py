"""Speech without words: found wherever it is, and no speech is left out of the account."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scrivano.domain.coverage import Hole, Span, between, holes, holes_among, letters, seconds_of, uncovered, words_of
from scrivano.domain.transcript import Segment, Word


def said(text: str, start: float, end: float) -> Word:
    return Word(text=text, start=start, end=end, probability=1.0)


def test_speech_with_words_has_no_holes() -> None:
    words = [said("one", 0.2, 0.6), said(" two", 0.7, 1.0), said(" three", 1.0, 1.4)]

    assert holes([Span(0.0, 1.5)], words) == []


def test_speech_without_any_words_is_one_hole_with_its_pauses() -> None:
    assert holes([Span(0.5, 2.0), Span(2.4, 4.0)], []) == [Span(0.5, 4.0)]


def test_a_pause_is_no_hole() -> None:
    assert holes([Span(0.0, 1.0), Span(9.0, 10.0)], [said("yes", 0.2, 0.9), said(" no", 9.1, 9.9)]) == []


def test_a_word_that_an_alignment_drew_over_a_hole_covers_its_ends_only() -> None:
    """ "cette", as it was aligned in a recording: sixteen words are missing in it."""
    words = [said("enregistrer", 5.2, 6.72), said(" cette", 6.72, 16.04), said(" pas", 16.1, 17)]

    [hole] = holes([Span(5.0, 17.0)], words)

    assert 6.7 < hole.start < 8.0
    assert 14.0 < hole.end < 16.1


def test_a_word_covers_no_more_than_its_letters_take() -> None:
    """One of ten letters over 3 s, though it is said in less than one."""
    words = [said("cette", 0.2, 0.6), said(" conférence,", 0.6, 3.65), said(" appuyez", 4.8, 5.3)]

    assert len(holes([Span(0.2, 5.3)], words)) == 1


def test_speech_far_from_every_word_counts_however_short() -> None:
    words = [said("yes", 0.0, 0.4), said(" no", 6.0, 6.3)]
    short = Span(3.0, 3.4)

    assert holes_among([short], words) == [Hole(3.0, 3.4, short.seconds)]
    assert holes_among([short], [*words, said(" well", 3.6, 4.0)]) == []
    assert holes_among([short], [said("a segment without word times", 0.0, 6.3)]) == []
    assert len(holes_among([Span(0.3, 0.5)], [])) == 1, "the only speech of a clip"


@pytest.mark.parametrize(("letters", "found"), [(100, 1), (200, 0)])
def test_a_segment_without_word_times_is_judged_by_its_letters(letters: int, found: int) -> None:
    words = words_of([Segment(start=8.5, end=30.8, text="a" * letters)])

    assert len(holes([Span(8.5, 30.8)], words)) == found


def test_the_time_stamps_of_a_segment_without_word_times_prove_nothing() -> None:
    words = words_of([Segment(start=0.0, end=20.0, text="Two words.")])

    assert seconds_of(holes([Span(0.0, 20.0)], words)) > 10


def test_short_gaps_add_up_only_where_no_word_lies_between() -> None:
    speech = [Span(0.0, 0.9), Span(1.5, 2.4)]

    assert holes(speech, [said("a", 1.1, 1.3)]) == []
    assert holes(speech, []) == [Span(0.0, 2.4)]


@pytest.mark.parametrize(
    ("text", "count"), [("Hello, you!", 8), ("привет", 6), ("7", 5), ("好", 3), ("...", 0), ("é", 1)]
)
def test_texts_are_measured_as_they_are_said(text: str, count: int) -> None:
    assert letters(text) == count


def test_spans_are_clipped() -> None:
    assert between([Span(0, 2), Span(3, 5), Span(6, 7)], 1, 4) == [Span(1, 2), Span(3, 4)]


times = st.lists(st.integers(0, 3000), min_size=2, max_size=24, unique=True).map(sorted)
spans = times.map(lambda edges: [Span(a / 100, b / 100) for a, b in zip(edges[::2], edges[1::2], strict=False)])
spoken = st.lists(
    st.tuples(st.integers(0, 2900), st.integers(0, 1500), st.text("ab 1", min_size=1, max_size=12)), max_size=12
).map(lambda found: [said(text, start / 100, (start + length) / 100) for start, length, text in sorted(found)])


@given(spans, spoken)
def test_each_moment_of_speech_is_near_a_word_or_in_the_account(speech: list[Span], words: list[Word]) -> None:
    left = uncovered(speech, words)
    reported = holes(speech, words, least=0.0)

    assert all(a.end <= b.start for a, b in pairwise(left))
    assert all(any(hole.start <= part.start and part.end <= hole.end for hole in reported) for part in left)
    for span in speech:
        for moment in (span.start, (span.start + span.end) / 2):
            in_hole = any(part.start <= moment < part.end for part in left)
            near = any(word.start - 0.31 <= moment <= word.end + 0.31 for word in words)
            assert in_hole or near


@given(spans, spoken)
def test_words_never_make_holes_larger(speech: list[Span], words: list[Word]) -> None:
    assert seconds_of(uncovered(speech, words)) <= seconds_of(speech) + 1e-6
    if words:
        assert seconds_of(uncovered(speech, words)) <= seconds_of(uncovered(speech, words[1:])) + 1e-6
