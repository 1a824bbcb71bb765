"""Byte pairs: text to tokens and back, and words where characters are spread over tokens."""

from __future__ import annotations

import pytest
from tokenizers import Tokenizer

from scrivano.engines.catalog import NANO_FOLDER
from scrivano.engines.whisper_cpp.vocabulary import Vocabulary

SMALL = Vocabulary([b"a", b"b", b" ", b"ab", b" ab", b"\xe4", b"\xbd\xa0", b"\xe5\xa5\xbd", b".", b" (", b"\xff"], 13)


@pytest.fixture(scope="module")
def real() -> Vocabulary:
    from nano_ggml import text_tokens

    return Vocabulary(text_tokens(), 50364)


@pytest.mark.parametrize(
    "text",
    [
        " The director will arrive at the park next week.",
        "It's 1,234 o'clock; don't ask_why...",
        " Perché no? È già così, città e caffè.",
        "  two  spaces\nand lines ",
        " 你好, 世界! こんにちは 🎉",
        "",
    ],
)
def test_text_becomes_the_tokens_of_whisper_s_own_tokenizer(real: Vocabulary, text: str) -> None:
    whisper = Tokenizer.from_file(str(NANO_FOLDER / "tokenizer.json"))

    assert real.encode(text) == whisper.encode(text, add_special_tokens=False).ids
    assert real.decode(real.encode(text)) == text


def test_what_has_no_token_is_left_out() -> None:
    assert SMALL.encode(" abc") == [4]


def test_tokens_behind_the_text_ones_have_no_text() -> None:
    assert SMALL.end_of_text == 11
    assert SMALL.decode([13, 0, 11, 1, 20]) == "ab"


def test_words_begin_with_a_space_or_a_mark() -> None:
    assert SMALL.split_words([0, 3, 4, 1, 8, 9, 3], "en") == (
        ["aab", " abb", ".", " (ab"],
        [[0, 3], [4, 1], [8], [9, 3]],
    )


def test_a_character_of_two_tokens_stays_whole() -> None:
    assert SMALL.split_words([5, 6, 7, 8], "zh") == (["你", "好", "."], [[5, 6], [7], [8]])


@pytest.mark.parametrize("tokens", [[0, 5], [10, 0, 1], [5, 0, 4], [5, 10, 6]])
def test_words_join_to_the_text_even_where_that_is_no_utf_8(tokens: list[int]) -> None:
    words, groups = SMALL.split_words(tokens, "en")

    assert "".join(words) == SMALL.decode(tokens)
    assert [token for group in groups for token in group] == tokens
