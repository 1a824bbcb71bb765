from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scrivano.domain.coverage import Span
from scrivano.domain.transcript import Segment, Word
from scrivano.text.cleanup import clean, collapse_rolling, cut_loops, drop_silence, drop_sounds, monotone

SPEECH = Segment(start=0.0, end=1.0, text="Hello.", avg_logprob=-0.2, no_speech_prob=0.01)


def said(text: str, start: float, end: float, *words: Word) -> Segment:
    return replace(SPEECH, text=text, start=start, end=end, words=words)


def spoken(text: str, start: float = 0.0, pace: float = 0.5) -> Segment:
    """A segment with a word for every word of `text`, `pace` seconds each."""
    texts = [part if index == 0 else f" {part}" for index, part in enumerate(text.split(" "))]
    words = tuple(
        Word(text=part, start=start + index * pace, end=start + (index + 1) * pace, probability=0.9)
        for index, part in enumerate(texts)
    )
    return said(text, start, start + len(texts) * pace, *words)


def texts(segments: Sequence[Segment]) -> list[str]:
    return [segment.text for segment in segments]


# drop_silence


def test_unsure_text_over_silence_is_dropped() -> None:
    made_up = replace(SPEECH, no_speech_prob=0.9, avg_logprob=-1.3)

    assert list(drop_silence([SPEECH, made_up])) == [SPEECH]


@pytest.mark.parametrize("text", ["...", " . ", "-", "。", "?!"])
def test_text_without_letters_says_nothing(text: str) -> None:
    assert texts(
        clean([replace(SPEECH, text=text, words=()), replace(SPEECH, start=8.0, end=9.0, text="5")], 9.0).segments
    ) == ["5"]


def test_confident_speech_survives_a_high_no_speech_prob() -> None:
    quiet = replace(SPEECH, text="yes", no_speech_prob=0.9, avg_logprob=-0.3)

    assert list(drop_silence([quiet])) == [quiet]


def test_unsure_speech_survives_without_silence() -> None:
    mumbled = replace(SPEECH, no_speech_prob=0.5, avg_logprob=-2.0)

    assert list(drop_silence([mumbled])) == [mumbled]


# collapse_rolling


@pytest.mark.parametrize(
    "chain",
    [
        [said("I", 0, 0.5), said("I think", 0, 1), said("I think so", 0, 1.5)],
        [said("I", 0, 0.5), said("I think", 0.5, 1), said("I think so", 1, 1.5)],
        [said("I.", 0, 0.5), said("I think.", 0.5, 1), said("I think so.", 1, 1.5)],
        [said("I.", 0, 0.5), said("I think.", 0, 1), said("i think, so", 0, 1.5)],
        [said("I", 0, 0.5), said("I", 0, 0.6), said("I think so", 0, 1.5)],
        [said("I think", 0, 1), said("I think so", 1.1, 1.5)],
    ],
    ids=["overlapping", "adjacent", "adjacent sentences", "punctuated", "one twice", "two"],
)
def test_the_last_of_growing_hypotheses_is_kept_with_the_start_of_the_first(chain: list[Segment]) -> None:
    (left,) = collapse_rolling(chain)

    assert left == replace(chain[-1], start=0)


def test_two_chains_leave_two_segments() -> None:
    chains = [said("I", 0, 1), said("I think", 0, 2), said("You", 2, 3), said("You know", 2, 4)]

    assert texts(collapse_rolling(chains)) == ["I think", "You know"]


def test_a_chain_without_spaces_between_words_collapses() -> None:
    assert texts(collapse_rolling([said("我", 0, 1), said("我想", 0, 2), said("我想是", 0, 3)])) == ["我想是"]


@pytest.mark.parametrize(
    "speech",
    [
        [said("No.", 0, 0.5), said("No.", 0.5, 1)],
        [said("No.", 0, 0.5), said("No, no.", 0.5, 1), said("No, no, no!", 1, 2)],
        [said("Yes", 0, 0.5), said("Yes, I do", 3, 4)],
        [said("Yes.", 0, 0.5), said("Yes, I do.", 0.5, 1.5)],
        [said("Yes.", 0, 0.5), said("Yes, I do.", 0.49, 1.5)],
        [said("I", 0, 1), said("It is", 0, 2)],
        [said("I think so", 0, 1), said("I think", 1, 2)],
        [said("...", 0, 1), said("... yes", 0, 1)],
    ],
    ids=["again", "emphasis", "far apart", "answer", "inexact time", "another word", "shorter", "no words"],
)
def test_real_speech_survives(speech: list[Segment]) -> None:
    assert collapse_rolling(speech) == tuple(speech)


def test_the_same_words_at_the_same_time_are_kept_once() -> None:
    assert texts(collapse_rolling([said("Right.", 0, 1), said("Right.", 0.2, 1)])) == ["Right."]


@pytest.mark.parametrize(
    ("chain", "left"),
    [
        ([said("I think", 0, 1), said("I thought so", 0, 1.5)], "I thought so"),
        ([said("I thinking", 0, 1), said("I think", 0, 1)], "I think"),
        ([said("I", 0, 0.5), said("I thin", 0, 1), said("I think so", 0, 1.5)], "I think so"),
        ([said("I", 0, 0.5), said("I thin", 0.5, 1), said("I think so", 1, 1.5)], "I think so"),
        ([said("I think so", 0, 1.5), said("I think", 0, 1), said("I think so too", 0, 2)], "I think so too"),
        ([said("I think so", 0, 1.5), said("I think", 0, 1)], "I think so"),
        ([said("we saw a grey tea", 0, 2), said("we saw a great team", 0, 2.5)], "we saw a great team"),
        ([said("the cat sat on", 0, 2), said("the cat set on the mat", 0, 3)], "the cat set on the mat"),
        ([said("I think.", 0, 1), said("I thought.", 0, 1.2), said("I thought so.", 0, 1.5)], "I thought so."),
    ],
)
def test_hypotheses_that_revise_or_withdraw_their_last_word_are_kept_once(chain: list[Segment], left: str) -> None:
    assert texts(collapse_rolling(chain)) == [left]


@pytest.mark.parametrize(
    "speech",
    [
        [said("I work.", 0, 1), said("I worked.", 1, 2), said("I works.", 2, 3)],
        [said("We see.", 0, 1), said("We saw it.", 1, 2)],
        [said("I think so", 0, 1.5), said("I think", 1.5, 2)],
        [said("I like tea.", 0, 1), said("I like coffee.", 0.95, 2)],
    ],
)
def test_sentences_that_begin_alike_survive(speech: list[Segment]) -> None:
    assert collapse_rolling(speech) == tuple(speech)


# drop_sounds


@pytest.mark.parametrize(
    "text",
    [
        "[MUSIC]",
        "[Music]",
        "(applause)",
        "♪",
        "♪♪♪",
        "♪ ♪",
        "[BLANK_AUDIO]",
        "(Musik)",
        "*laughs*",
        "【音楽】",
        "[ Silence ]",
        "(upbeat music)",
        "[music playing] [applause]",
        "(rires du public)",
        "[MUSIC",
        "(audience laughing)",
        "[]",
        "(Applaus).",
        "- [Music]",
        ">> (applause)",
        "[Music] - [Applause]",
        "... [music] ...",
        "(wind blowing)(birds)",
        "<music>",
        "{applause}",
        "\u3014音楽\u3015",
    ],
)
def test_what_describes_a_sound_is_no_speech(text: str) -> None:
    assert clean([spoken(text)], 9.0).segments == ()
    assert clean([said(text, 0, 1)], 9.0).segments == ()


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("[MUSIC] Good morning.", "Good morning."),
        ("Good [door slams] morning.", "Good morning."),
        ("That is good. (laughter)", "That is good."),
        ("♪ Happy birthday to you ♪", "Happy birthday to you"),
        ("Thank you.[applause]", "Thank you."),
    ],
)
def test_speech_beside_a_sound_stays(text: str, left: str) -> None:
    for segment in (spoken(text), said(text, 0, 5)):
        (kept,) = clean([segment], 9.0).segments
        assert kept.text == left
        assert not segment.words or "".join(word.text for word in kept.words) == left


@pytest.mark.parametrize(
    "text",
    [
        "Call (800) 555-1212.",
        "It is late (very late).",
        "So (she said that she loves music) we went.",
        "(I said that I would be there, and I was.)",
        "2 * 3 * 4",
        "a [1] b",
    ],
)
def test_words_in_brackets_that_may_have_been_said_stay(text: str) -> None:
    assert texts(clean([spoken(text)], 9.0).segments) == [text]


@given(st.text(alphabet="ab (|)[]*♪1 ", max_size=20))
def test_dropping_sounds_only_removes_text(text: str) -> None:
    for segment in (spoken(text), said(text, 0, 5)):
        left = drop_sounds(segment)
        rest = iter(text)
        assert all(char in rest for char in left.text)
        assert not left.words or "".join(word.text for word in left.words) == left.text


# cut_loops

# What Whisper's own test takes for a loop.
REPEATS = 3.0


def looping(text: str, start: float = 0.0, pace: float = 0.5) -> Segment:
    return replace(spoken(text, start, pace), compression_ratio=REPEATS)


def times_apart(text: str, times: int, every: float, **fields: Any) -> list[Segment]:
    """The text as a segment of its own, every so many seconds."""
    return [replace(spoken(text, n * every, 0.3), **fields) for n in range(times)]


def where_said(segments: Sequence[Segment]) -> list[Span]:
    return [Span(segment.start, segment.end) for segment in segments]


def left_of(segments: Sequence[Segment], speech: Sequence[Span] | None = None) -> list[str]:
    return texts(cut_loops(segments, speech).segments)


def test_a_looping_phrase_is_kept_once_with_its_words() -> None:
    ((left,), loops) = cut_loops([looping("so " + "thank you " * 20 + "thank", pace=0.25)])

    assert left.text == "so thank you"
    assert "".join(word.text for word in left.words) == left.text
    assert left.end == left.words[-1].end == 0.75
    assert loops == 1


def test_text_after_a_loop_is_kept() -> None:
    ((left,), _) = cut_loops([looping("so " + "thank you " * 8 + "thank goodness")])

    assert left.text == "so thank you thank goodness"


def test_a_word_in_which_the_model_ran_out_of_tokens_belongs_to_its_loop() -> None:
    ((left,), loops) = cut_loops([looping("Prasi " * 20 + "Pr")])

    assert (left.text, left.end, loops) == ("Prasi", 0.5, 1)


def test_a_loop_in_a_segment_without_words_is_cut() -> None:
    segment = replace(SPEECH, text="Yes, " * 30 + "yes.", tokens=(1, 2, 3), end=30.0, compression_ratio=REPEATS)

    ((left,), _) = cut_loops([segment])

    assert (left.text, left.tokens, left.end) == ("Yes,", (), 30.0)


def test_a_loop_without_spaces_is_cut() -> None:
    assert left_of([replace(SPEECH, text="你好" * 10, compression_ratio=REPEATS)]) == ["你好"]


def test_dashes_and_notes_loop_too() -> None:
    assert left_of([replace(SPEECH, text="- " * 20 + "♪ " * 20, compression_ratio=REPEATS)]) == ["- ♪ "]


def test_a_looping_segment_is_kept_once() -> None:
    loop = [replace(said("Thank you.", float(at), at + 1.0), avg_logprob=-1.2) for at in range(12)]

    assert cut_loops([SPEECH, *loop, SPEECH]) == ((SPEECH, loop[0], SPEECH), 1)


def test_a_looping_series_of_segments_is_kept_once() -> None:
    loop = [replace(said(text, 0, 1), avg_logprob=-1.2) for text in ("Thank you.", "Good bye.") * 6]

    assert left_of([*loop, loop[0]]) == ["Thank you.", "Good bye."]


@pytest.mark.parametrize(
    "doubted",
    [
        times_apart("Please hold the line.", 8, 3.0, avg_logprob=-1.5),
        [
            replace(one, words=tuple(replace(word, probability=0.2) for word in one.words))
            for one in times_apart("Please hold the line.", 8, 3.0)
        ],
        [looping("Please hold the line.", n * 2.0) for n in range(8)],
        [spoken("Please hold the line.", 0.01 * n, 0.001) for n in range(8)],
    ],
    ids=["improbable", "guessed", "repeats", "crowded"],
)
def test_what_is_repeated_and_hardly_said_is_kept_once(doubted: list[Segment]) -> None:
    assert left_of(doubted) == ["Please hold the line."]
    assert left_of(doubted, [Span(0.0, 30.0)]) == ["Please hold the line."]


def test_repetitions_where_no_speech_was_detected_are_cut() -> None:
    messages = times_apart("Please hold the line.", 8, 3.0)

    assert len(left_of(messages, where_said(messages)[:6])) == 6


@pytest.mark.parametrize(
    "text",
    [
        "no, no, no, no, no!",
        "let it be, let it be, let it be, let it be",
        "one million is a one and zero zero zero zero zero zero",
        "a rose is a rose is a rose",
        "No, no, no, no, no, no, no, no, no, no, I will not do that.",
        "My number is 0 0 0 0 0 0 0 0 0 0 1.",
    ],
)
def test_emphasis_refrains_and_numbers_survive(text: str) -> None:
    assert left_of([spoken(text)]) == [text]


def test_digits_said_one_by_one_survive_also_where_the_model_is_unsure() -> None:
    number = replace(looping("0 " * 19 + "0", pace=0.25), avg_logprob=-1.5)

    assert left_of([number], []) == [number.text]
    assert left_of([looping("0 " * 19 + "0", pace=0.01)]) == ["0"]


@pytest.mark.parametrize(("text", "every"), [("No.", 1.0), ("Yes.", 2.5), ("Please hold the line.", 30.0)])
@pytest.mark.parametrize("between", [[], [spoken("Yes, sir.", 0.3, 0.3)]])
def test_what_is_said_again_and_again_survives(text: str, every: float, between: list[Segment]) -> None:
    said_often = [
        replace(one, start=one.start + n * every, end=one.end + n * every)
        for n in range(12)
        for one in [spoken(text, 0.0, 0.3 / len(text.split())), *between]
    ]

    assert cut_loops(said_often, where_said(said_often)) == (tuple(said_often), 0)


def test_a_message_with_a_stretch_of_speech_for_each_repetition_survives_a_window_that_repeats_itself() -> None:
    """Its text is a loop by Whisper's test. It is said so often all the same."""
    messages = times_apart("Please hold the line.", 7, 2.0, compression_ratio=REPEATS)

    assert left_of(messages, where_said(messages)) == ["Please hold the line."] * 7
    assert left_of(messages, where_said(messages)[:5]) == ["Please hold the line."]


def test_a_message_that_an_alignment_squeezes_among_others_survives() -> None:
    """Nobody speaks so fast, but it has room: the alignment moved it beside the one before."""
    messages = times_apart("The conference will begin when the leader arrives.", 6, 11.0)
    heard = where_said(messages)
    messages[4] = replace(messages[4], end=messages[4].start + 0.9, words=())

    assert len(left_of(messages, heard)) == 6


def test_a_word_that_an_alignment_squeezes_among_others_survives() -> None:
    segment = spoken("no " * 12 + "no", pace=0.3)
    words = [word.at(word.start, word.start) if n % 4 == 3 else word for n, word in enumerate(segment.words)]

    assert left_of([replace(segment, words=tuple(words))]) == [segment.text]


def test_words_that_differ_from_a_looping_text_are_dropped() -> None:
    one = Word(text="la", start=0, end=1, probability=1)

    ((left,), _) = cut_loops([replace(SPEECH, text="na " * 20, words=(one,), compression_ratio=REPEATS)])

    assert (left.text, left.words) == ("na ", ())


# monotone


def test_times_are_put_in_order_inside_the_file_and_words_inside_their_segment() -> None:
    early, late = spoken("one two", start=-0.5, pace=1.0), spoken("three four", start=1.0, pace=5.0)

    first, second = monotone([early, late], 8.0)

    assert (first.start, first.end, second.start, second.end) == (0.0, 1.0, 1.0, 8.0)
    assert [(word.start, word.end) for word in first.words] == [(0.0, 0.5), (0.5, 1.0)]
    assert [(word.start, word.end) for word in second.words] == [(1.0, 6.0), (6.0, 8.0)]


def test_times_in_order_are_unchanged() -> None:
    speech = (spoken("one two"), spoken("three", start=4.0))

    assert monotone(speech, 10.0) == speech


# clean


def test_clean_does_all_of_it() -> None:
    silence = said("Thanks for watching!", 50, 52)
    raw = [
        said("I", 0, 0.5),
        said("I think so", 0, 1.5),
        said("  ", 2, 3),
        looping("go " * 30 + "on", start=4.0, pace=0.25),
        replace(silence, no_speech_prob=0.95, avg_logprob=-1.5),
        said("The end.", 58, 61),
    ]

    assert [(s.start, s.end, s.text) for s in clean(raw, 60.0).segments] == [
        (0, 1.5, "I think so"),
        (4.0, 11.75, "go on"),
        (58, 60.0, "The end."),
    ]


def test_no_segments_give_no_segments() -> None:
    assert clean([], 0.0) == ((), 0)


phrases = st.lists(st.sampled_from(["I", "I", "think", "so", "no.", "thank", "you", "-", "我"]), max_size=6).map(
    " ".join
)


ratios = st.sampled_from([1.0, REPEATS])


@st.composite
def any_segment(draw: st.DrawFn) -> Segment:
    seconds = st.floats(min_value=-5, max_value=40)
    start, end = draw(seconds), draw(seconds)
    text = " ".join([draw(phrases)] * draw(st.sampled_from([1, 1, 1, 2, 12])))
    segment = spoken(text, start=start, pace=draw(st.floats(min_value=-1, max_value=2)))
    unsure, silent = draw(st.sampled_from([-0.1, -2.0])), draw(st.sampled_from([0.1, 0.9]))
    return replace(segment, end=end, avg_logprob=unsure, no_speech_prob=silent, compression_ratio=draw(ratios))


@st.composite
def any_job(draw: st.DrawFn) -> list[Segment]:
    """Segments of all kinds, some of them said many times."""
    pieces = draw(st.lists(st.tuples(st.lists(any_segment(), max_size=3), st.sampled_from([1, 1, 1, 11])), max_size=5))
    return [segment for segments, times in pieces for segment in segments * times]


def is_subsequence(part: Sequence[str], whole: Sequence[str]) -> bool:
    rest = iter(whole)
    return all(item in rest for item in part)


@given(any_job(), st.floats(min_value=0, max_value=60))
def test_cleaning_twice_gives_the_same_as_once(segments: list[Segment], duration: float) -> None:
    once = clean(segments, duration).segments

    assert clean(once, duration) == (once, 0)


@given(any_job())
def test_each_step_twice_gives_the_same_as_once(segments: list[Segment]) -> None:
    once = collapse_rolling(segments)
    assert collapse_rolling(once) == once
    once, _ = cut_loops(segments)
    assert cut_loops(once) == (once, 0)


@given(any_job(), st.floats(min_value=0, max_value=60))
def test_text_is_only_removed_and_words_still_match_it(segments: list[Segment], duration: float) -> None:
    left = clean(segments, duration).segments

    before = " ".join(segment.text for segment in segments).split()
    assert is_subsequence(" ".join(segment.text for segment in left).split(), before)
    assert all("".join(word.text for word in segment.words) == segment.text for segment in left)


@given(any_job(), st.floats(min_value=0, max_value=60))
def test_times_always_ascend_inside_the_file(segments: list[Segment], duration: float) -> None:
    left = clean(segments, duration).segments

    assert all(0 <= segment.start < segment.end <= duration for segment in left)
    assert all(one.end <= other.start for one, other in pairwise(left))
    for segment in left:
        assert all(segment.start <= word.start <= word.end <= segment.end for word in segment.words)
        assert all(one.end <= other.start for one, other in pairwise(segment.words))
