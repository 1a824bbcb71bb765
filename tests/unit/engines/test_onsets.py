"""Words next to pauses."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scrivano.domain.coverage import Span
from scrivano.domain.transcript import Segment, Word
from scrivano.engines.onsets import without_pauses


def segment(*times: tuple[float, float]) -> Segment:
    words = tuple(Word(text=f" {n}", start=start, end=end, probability=1.0) for n, (start, end) in enumerate(times))
    return Segment(start=times[0][0] - 1, end=times[-1][1] + 1, text="".join(one.text for one in words), words=words)


@pytest.mark.parametrize(
    ("word", "pause", "expected"),
    [
        ((1.0, 2.0), (0.5, 1.4), (1.4, 2.0)),
        ((1.0, 2.0), (1.08, 1.6), (1.6, 2.0)),
        ((1.0, 2.0), (1.7, 2.5), (1.0, 1.7)),
        ((1.0, 2.0), (2.2, 2.6), (1.0, 2.2)),
        ((1.0, 2.0), (1.4, 1.6), (1.0, 2.0)),
        ((1.0, 2.0), (0.9, 1.97), (1.0, 2.0)),
        ((1.0, 2.0), (2.5, 2.9), (1.0, 2.0)),
    ],
)
def test_a_word_starts_and_ends_with_sound(
    word: tuple[float, float], pause: tuple[float, float], expected: tuple[float, float]
) -> None:
    [placed] = without_pauses([segment(word)], [Span(*pause)])

    assert (placed.words[0].start, placed.words[0].end) == (placed.start, placed.end) == expected


def test_a_word_does_not_reach_over_the_next_one() -> None:
    first, second = without_pauses([segment((1.0, 2.0)), segment((2.1, 2.5))], [Span(2.2, 2.6)])

    assert first.words[0].end == 2.0
    assert second.words[0].end == 2.2 or second.words[0].start >= 2.1


@pytest.mark.parametrize(
    ("word", "pauses", "expected"),
    [
        ((9.0, 9.7), [(7.7, 8.6), (8.9, 9.8)], (8.6, 8.9)),  # the sound before the pause has no word
        ((8.88, 9.7), [(7.7, 8.6), (8.9, 9.8)], (8.6, 8.9)),
        ((9.0, 9.4), [(8.0, 9.6), (9.9, 10.5)], (9.6, 9.9)),  # the one behind it
        ((9.0, 9.7), [(7.7, 8.85), (8.9, 9.8)], (9.0, 9.7)),  # a click
        ((9.0, 9.7), [(5.0, 6.0), (8.9, 9.8)], (9.0, 9.7)),  # more than a word
        ((9.0, 9.9), [(7.7, 8.6), (8.9, 9.8)], (9.8, 9.9)),  # its end is behind the pause
    ],
)
def test_a_word_in_a_pause_moves_to_the_sound_that_has_no_word(
    word: tuple[float, float], pauses: list[tuple[float, float]], expected: tuple[float, float]
) -> None:
    said = segment((1.0, 2.0), word, (11.0, 11.5))

    [placed] = without_pauses([said], [Span(*pause) for pause in pauses])

    assert (placed.words[1].start, placed.words[1].end) == expected


def test_a_word_in_a_pause_takes_no_sound_of_another_word() -> None:
    said = segment((8.6, 8.9), (9.0, 9.4), (9.6, 9.9))

    [placed] = without_pauses([said], [Span(7.7, 8.6), Span(8.9, 9.6), Span(9.9, 10.5)])

    assert placed.words == said.words


def test_segments_without_words_stay() -> None:
    plain = Segment(start=0, end=1, text="a")

    assert without_pauses([plain], [Span(0.2, 0.6)]) == (plain,)


times = st.lists(st.integers(0, 600), min_size=2, max_size=20, unique=True).map(sorted)


@given(times, times)
def test_words_stay_in_order_and_keep_a_length(words: list[int], quiet: list[int]) -> None:
    spoken = [(a / 20, b / 20) for a, b in pairwise(words)]
    pauses = [Span(a / 20, b / 20) for a, b in list(pairwise(quiet))[::2]]

    [placed] = without_pauses([segment(*spoken)], pauses)

    assert all(word.end - word.start > 0 for word in placed.words)
    assert all(a.end <= b.start + 1e-9 for a, b in pairwise(placed.words))
