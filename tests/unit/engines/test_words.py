"""Words out of aligned tokens: texts that join, times that can be."""

from __future__ import annotations

from scrivano.domain.transcript import Word
from scrivano.engines.decoding_rules import Spoken, TokenTimes
from scrivano.engines.words import TimedText, place_words, token_times

VOCABULARY = {1: " The", 2: " park", 3: ".", 4: " It", 5: "'s", 6: " (", 7: "late", 8: ")", 9: " ", 10: "\ufffd"}


def split(tokens: list[int]) -> tuple[list[str], list[list[int]]]:
    return [VOCABULARY[token] for token in tokens], [[token] for token in tokens]


def placed(
    *segments: Spoken, starts: tuple[float, ...], texts: tuple[str, ...], seconds: float = 30.0
) -> list[TimedText]:
    times = TokenTimes(starts=starts, probabilities=(0.5,) * (len(starts) - 1))
    return place_words(segments, texts, times, split, seconds=seconds)


def times_of(words: tuple[Word, ...]) -> list[tuple[str, float, float]]:
    return [(word.text, word.start, word.end) for word in words]


def test_a_token_begins_at_its_first_position() -> None:
    times = token_times([(0, 0), (0, 10), (1, 10), (1, 11), (2, 40)], [0.9, 0.8])

    assert times == TokenTimes(starts=(0.0, 0.2, 0.8), probabilities=(0.9, 0.8))


def test_words_join_to_the_text_and_only_the_first_has_no_space() -> None:
    [text] = placed(Spoken(start=0.0, end=1.4, tokens=(1, 2, 3)), starts=(0.2, 0.5, 0.9, 1.0), texts=("The park.",))

    assert times_of(text.words) == [("The", 0.2, 0.5), (" park.", 0.5, 0.9)]
    assert (text.start, text.end) == (0.2, 0.9)


def test_opening_marks_join_the_next_word() -> None:
    [text] = placed(
        Spoken(start=0.0, end=2.0, tokens=(4, 5, 6, 7, 8)),
        starts=(0.0, 0.2, 0.4, 0.5, 0.9, 1.0),
        texts=("It's (late)",),
    )

    assert [word.text for word in text.words] == ["It", "'s", " (late)"]


def test_words_never_cross_segments() -> None:
    first, second = placed(
        Spoken(start=0.0, end=1.0, tokens=(1, 2)),
        Spoken(start=1.0, end=2.0, tokens=(5, 2)),
        starts=(0.0, 0.5, 1.0, 1.4, 1.9),
        texts=("The park", "'s park"),
    )

    assert [word.text for word in first.words] == ["The", " park"]
    assert [word.text for word in second.words] == ["'s", " park"]


def test_spaces_around_a_segment_belong_to_no_word() -> None:
    [text] = placed(
        Spoken(start=0.0, end=1.0, tokens=(9, 1, 2, 9)), starts=(0.0, 0.1, 0.4, 0.8, 0.9), texts=("The park",)
    )

    assert [word.text for word in text.words] == ["The", " park"]


def test_words_that_do_not_join_become_one() -> None:
    [text] = placed(Spoken(start=0.0, end=1.0, tokens=(1, 10)), starts=(0.0, 0.5, 0.9), texts=("The é",))

    assert times_of(text.words) == [("The é", 0.0, 0.9)]


def test_a_pause_belongs_to_no_word() -> None:
    """The alignment gives the four seconds before the second sentence to its first word."""
    _, second = placed(
        Spoken(start=0.0, end=1.0, tokens=(1, 2, 3)),
        Spoken(start=5.0, end=6.0, tokens=(4, 2)),
        starts=(0.0, 0.4, 0.8, 0.9, 5.3, 5.7),
        texts=("The park.", "It park"),
    )

    assert second.words[0].start > 4.4
    assert second.words[0].end == 5.3


def test_a_failed_alignment_falls_back_on_the_timestamps() -> None:
    [text] = placed(Spoken(start=7.0, end=8.0, tokens=(1, 2, 3)), starts=(7.40, 7.40, 7.42, 7.42), texts=("The park.",))

    assert (text.start, text.end) == (7.0, 8.0)
    assert [round(word.start, 2) for word in text.words] == [7.0, 7.4]


def test_times_stay_in_the_audio_and_in_order() -> None:
    [text] = placed(
        Spoken(start=0.0, end=1.2, tokens=(1, 2, 2)), starts=(0.6, 0.9, 1.3, 1.6), texts=("The park park",), seconds=1.2
    )

    times = [time for word in text.words for time in (word.start, word.end)]
    assert times == sorted(times)
    assert max(times) <= 1.2
    assert text.end <= 1.2


def test_a_first_word_without_length_goes_with_the_rest_of_its_sentence() -> None:
    """The alignment leaves it at the end of the sentence before, and gives the pause to the word after it."""
    _, second = placed(
        Spoken(start=0.0, end=1.0, tokens=(1, 2, 3)),
        Spoken(start=5.0, end=6.0, tokens=(4, 2, 2, 2, 3)),
        starts=(0.0, 0.4, 0.8, 1.0, 1.0, 5.3, 5.6, 5.9, 6.1),
        texts=("The park.", "It park park park."),
    )

    [it, park, *_] = second.words
    assert 4.0 < it.start < it.end <= park.start < park.end == 5.3
    assert second.start == it.start


def test_a_first_word_whose_comma_has_the_pause_goes_with_the_rest() -> None:
    _, second = placed(
        Spoken(start=0.0, end=1.0, tokens=(1, 2, 3)),
        Spoken(start=5.0, end=6.0, tokens=(4, 8, 2, 2, 2)),
        starts=(0.0, 0.4, 0.8, 1.0, 1.0, 5.0, 5.3, 5.6, 5.9),
        texts=("The park.", "It) park park park"),
    )

    assert 4.0 < second.words[0].start < second.words[0].end == 5.0


def test_a_word_without_length_after_a_full_stop_does_not_lie_in_the_pause() -> None:
    [text] = placed(
        Spoken(start=0.0, end=6.0, tokens=(1, 2, 3, 4, 2)),
        starts=(0.0, 0.4, 0.8, 1.0, 1.0, 5.3),
        texts=("The park. It park",),
    )

    assert text.words[1].end == 0.8
    assert text.words[2].start > 4.0


def test_last_words_without_length_share_the_word_before_them() -> None:
    [text] = placed(
        Spoken(start=0.0, end=2.0, tokens=(1, 2, 2, 3)), starts=(0.0, 0.4, 1.4, 1.4, 1.4), texts=("The park park.",)
    )

    assert [(round(word.start, 2), round(word.end, 2)) for word in text.words] == [(0.0, 0.4), (0.4, 0.9), (0.9, 1.4)]


def test_a_sentence_most_of_which_has_no_length_falls_back_on_the_timestamps() -> None:
    _, second = placed(
        Spoken(start=0.0, end=1.0, tokens=(1, 2, 3)),
        Spoken(start=5.0, end=6.4, tokens=(4, 2, 2, 3)),
        starts=(0.0, 0.4, 0.8, 1.0, 1.0, 1.0, 6.0, 6.4),
        texts=("The park.", "It park park."),
    )

    assert (second.start, second.end) == (5.0, 6.4)
    assert second.words[0].start == 5.0
