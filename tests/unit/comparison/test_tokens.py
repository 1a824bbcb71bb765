"""What is compared: words, or characters, with their times."""

from __future__ import annotations

import pytest

from scrivano.comparison.tokens import Token, plain, tokens_of
from scrivano.domain.transcript import Segment, Word

WORDS = (
    Word(text="Don\u2019t", start=1.0, end=1.5, probability=1.0),
    Word(text=" stop,", start=1.5, end=2.0, probability=1.0),
    Word(text=" —", start=2.0, end=2.1, probability=1.0),
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The “Quick” fox!", "the quick fox"),
        ("don\u2019t 'quote'", "don't quote"),
        ("Straße ﬁn", "strasse fin"),
        ("a_b  c\nd", "a b c d"),
        ("… — ?", ""),
        ("Привет, мир", "привет мир"),
        ("हिन्दी।", "हिन्दी"),
    ],
)
def test_plain_words(text: str, expected: str) -> None:
    assert plain(text) == expected


def test_words_have_their_own_times_and_punctuation_alone_is_no_word() -> None:
    tokens = tokens_of([Segment(start=1, end=2, text="Don\u2019t stop, —", words=WORDS)])

    assert tokens == [Token("don't", "Don\u2019t", 1.0, 1.5, True), Token("stop", "stop,", 1.5, 2.0, True)]


def test_parts_of_a_written_word_are_one_word() -> None:
    words = [Word(text=text, start=n, end=n + 1, probability=1.0) for n, text in enumerate([" l'", "esame", " è"])]
    segment = Segment(start=0, end=3, text="l'esame è", words=tuple(words))

    assert [(token.form, token.start, token.end) for token in tokens_of([segment])] == [("l'esame", 0, 2), ("è", 2, 3)]


def test_a_segment_without_words_gives_estimated_times() -> None:
    tokens = tokens_of([Segment(start=10, end=14, text="aaa b")])

    assert tokens == [Token("aaa", "aaa", 10, 13.0), Token("b", "b", 13.0, 14.0)]


def test_characters_share_the_time_of_their_word() -> None:
    tokens = tokens_of([Segment(start=0, end=4, text="你好。")], characters=True)

    assert [(token.form, token.start, token.end) for token in tokens] == [("你", 0.0, 2.0), ("好", 2.0, 4.0)]


def test_a_word_that_becomes_several_is_shown_once() -> None:
    tokens = tokens_of([Segment(start=0, end=1, text="won't")], normalize=lambda text: "will not")

    assert [(token.form, token.text) for token in tokens] == [("will", "won't"), ("not", "")]
