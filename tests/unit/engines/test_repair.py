"""What is decoded again, and what becomes of it."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scrivano.domain.coverage import Span, holes, words_of
from scrivano.domain.decoding import DecodingOptions
from scrivano.domain.transcript import Segment, Word
from scrivano.engines.repair import Attempt, copy_seconds, is_better, plan, spliced, trusted


def words(*texts: str, start: float, step: float = 0.5) -> tuple[Word, ...]:
    return tuple(
        Word(text=text, start=start + n * step, end=start + (n + 1) * step, probability=0.9)
        for n, text in enumerate(texts)
    )


def segment(*texts: str, start: float, logprob: float = -0.2) -> Segment:
    timed = words(*texts, start=start)
    return Segment(start=start, end=timed[-1].end, text="".join(texts), words=timed, avg_logprob=logprob, tokens=(1, 2))


FIRST, LAST = segment("one", " two", start=1), segment("eight", " nine", start=20)
SPEECH = (Span(1.0, 21.0),)
HOLE = holes(SPEECH, words_of([FIRST, LAST]))
PAUSES = (Span(2.0, 2.2), Span(10.0, 10.6), Span(19.6, 19.8))


def test_without_holes_there_is_nothing_to_do() -> None:
    assert plan(0, [], (), PAUSES, 30.0) == plan(1, [], (), PAUSES, 30.0) == Attempt()


def test_the_chunk_is_decoded_again_from_the_pause_before_the_hole() -> None:
    assert plan(0, HOLE, FIRST.words + LAST.words, PAUSES, 30.0).stretches == (Span(2.1, 30.0),)


def test_behind_nothing_the_chunk_is_divided_at_its_longest_pause() -> None:
    empty = holes(SPEECH, LAST.words)

    assert plan(0, empty, LAST.words, PAUSES, 30.0).stretches == (Span(0.0, 10.3), Span(10.3, 30.0))


def test_without_pauses_all_is_decoded_without_a_beam() -> None:
    assert plan(0, holes(SPEECH, ()), (), (), 30.0) == Attempt((Span(0.0, 30.0),), greedy=True)


def test_what_is_left_is_decoded_alone() -> None:
    attempt = plan(1, HOLE, FIRST.words + LAST.words, PAUSES, 30.0)

    assert attempt.greedy
    assert [(one.start, one.end) for one in attempt.stretches] == [(2.1, 10.3), pytest.approx((10.3, 19.7))]


def test_new_text_replaces_what_was_said_in_its_stretch() -> None:
    new = segment("three", start=3)

    assert spliced([FIRST, LAST], Span(2.1, 30.0), [new]) == (FIRST, new)


def test_a_segment_on_both_sides_is_divided() -> None:
    whole = segment("a", " b", " c", " d", start=0)

    before, new, after = spliced([whole], Span(0.5, 1.0), [segment("x", start=0.5)])

    assert [before.text, new.text, after.text] == ["a", "x", "c d"]
    assert (after.start, after.end, after.tokens) == (1.0, 2.0, ())


def test_only_sure_text_that_fills_a_hole_is_taken() -> None:
    said = [" three", " four", " five", " six", " seven"] * 7
    good = segment(*said, start=2.1)

    def taken(new: Segment, *, whole: bool = False) -> bool:
        stretch = Span(0.0, 30.0) if whole else Span(2.1, 19.7)
        return is_better(SPEECH, [FIRST, LAST], spliced([FIRST, LAST], stretch, [new]), [new], DecodingOptions())

    assert taken(good)
    assert not taken(segment(*said, start=2.1, logprob=-0.9))
    assert not taken(segment(" three", start=8), whole=True)


def test_guessed_words_are_not_taken() -> None:
    speech = [Span(0, 4), Span(5, 8)]
    before = segment("One", " two", " three", start=0)

    def taken(probability: float) -> bool:
        new = segment("four", " five", " six", start=5)
        new = replace(new, words=tuple(replace(word, probability=probability) for word in new.words))
        return is_better(speech, [before], [before, new], [new], DecodingOptions())

    assert (taken(0.7), taken(0.58)) == (True, False)


@pytest.mark.parametrize(
    ("new", "taken"),
    [
        (("In", " in", " the", " plan", " with", " Daniel.", " And", " we", " agree."), False),
        (("And", " so", " we", " agree", " that", " nobody", " knows", " it."), False),
        (("With", " Daniel", " and", " Anna", " we", " agree", " that", " it", " holds."), True),
    ],
)
def test_text_that_says_its_neighbours_words_again_is_not_taken(new: tuple[str, ...], taken: bool) -> None:
    first = segment("changes", " the", " plan", " with", " Daniel.", start=1)
    last = segment("Nobody", " knows", " it,", " I", " think.", start=20)
    again = segment(*new, start=8)

    assert is_better(SPEECH, [first, last], [first, again, last], [again], DecodingOptions()) is taken


SENTENCE = ("You", " may", " hang", " up", " now.")


@pytest.mark.parametrize(
    ("quiet", "step", "taken"),
    [
        pytest.param([Span(3.5, 3.8)], 0.5, True, id="said twice"),
        pytest.param([Span(1.7, 1.9)], 0.5, False, id="without a pause between"),
        pytest.param([Span(3.5, 3.8)], 0.2, False, id="the first time its words have no room"),
    ],
)
def test_what_is_said_twice_is_taken_twice(quiet: list[Span], step: float, taken: bool) -> None:
    timed = words(*SENTENCE, start=1, step=step)
    first = replace(segment(*SENTENCE, start=1), words=timed, end=timed[-1].end)
    again = segment(*SENTENCE, start=3.8)

    assert is_better([Span(1, 6.3)], [first], [first, again], [again], DecodingOptions(), quiet) is taken


def test_a_copy_is_taken_though_the_model_doubts_that_somebody_speaks() -> None:
    speech, first = [Span(1, 3.5), Span(4.5, 7)], segment(*SENTENCE, start=1)

    def taken(*said: str) -> bool:
        new = replace(segment(*said, start=4.5), no_speech_prob=0.7)
        return is_better(speech, [first], [first, new], [new], DecodingOptions(), [Span(3.5, 4.5)])

    assert taken(*SENTENCE)
    assert not taken(*SENTENCE[:4], " n" + 12 * "o" + "w.")
    assert not taken(*SENTENCE * 9)
    assert not taken("Thank", " you", " for", " watching", " me.")


def test_what_is_said_again_and_again_is_decoded_each_time_alone() -> None:
    again = [segment(*SENTENCE, start=1), segment("you", " may", " hang", " it", " now", start=4)]
    quiet = [Span(start, start + 0.5) for start in (3.5, 5.2, 6.5, 9.5, 12.5, 15.5)]
    spoken = [word for one in again for word in one.words]
    [hole] = holes([Span(start, start + 2.5) for start in (1, 4, 7, 10, 13)], spoken)

    attempt = plan(1, [hole], spoken, quiet, 30.0, copy_seconds(again))

    assert copy_seconds(again) == 2.5
    assert (attempt.greedy, attempt.alone) == (False, True)
    assert plan(2, [hole], spoken, quiet, 30.0, copy_seconds(again)) == replace(attempt, greedy=True)
    assert plan(2, [hole], spoken, quiet, 30.0) == Attempt()
    assert [(one.start, one.end) for one in attempt.stretches] == [(6.75, 9.75), (9.75, 12.75), (12.75, 15.75)]


def test_other_words_are_not_said_again() -> None:
    others = [segment(*SENTENCE, start=1), segment("Please", " hang", " on", " now.", start=4)]

    assert copy_seconds(others) is copy_seconds(others[:1]) is copy_seconds([]) is None
    assert copy_seconds([segment(" No.", start=1), segment(" No.", start=2)]) is None


def test_loops_and_impossible_rates_leave_holes_like_missing_text() -> None:
    loop = replace(segment(*[" no"] * 30, start=3), compression_ratio=6.0)
    fast = replace(segment("word" * 40, start=3), end=4.0)

    assert trusted([FIRST, loop, fast, LAST], DecodingOptions()) == [FIRST, LAST]

    good = segment(*[" three", " four", " five", " six", " seven"] * 6, start=2.5)
    repaired = spliced([FIRST, loop, LAST], Span(2.1, 19.7), [good])
    assert is_better(SPEECH, [FIRST, loop, LAST], repaired, [good], DecodingOptions())


edges = st.lists(st.integers(0, 3000), max_size=12, unique=True).map(
    lambda found: [Span(a / 100, b / 100) for a, b in pairwise(sorted(found))][::2]
)


@given(st.integers(0, 2), edges, edges, st.lists(st.floats(0, 29), max_size=8), st.sampled_from([None, 0.5, 3.0]))
def test_stretches_are_apart_inside_the_chunk_and_hold_every_hole(
    number: int, speech: list[Span], quiet: list[Span], starts: list[float], copy_s: float | None
) -> None:
    spoken = tuple(word for start in sorted(starts) for word in words("word", start=start))
    empty = holes(speech, spoken)

    attempt = plan(number, empty, spoken, quiet, 30.0, copy_s)

    assert all(0 <= one.start < one.end <= 30.0 for one in attempt.stretches)
    if number == 0:
        assert all(a.end <= b.start for a, b in pairwise(attempt.stretches))
    held = [any(one.start <= hole.middle <= one.end for one in attempt.stretches) for hole in empty]
    assert all(held) or (number == 2 and copy_s is None)
