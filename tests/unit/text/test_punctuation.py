from __future__ import annotations

import pytest

from scrivano.text.punctuation import ends_clause, ends_sentence


@pytest.mark.parametrize(
    "text",
    ["Yes.", "Really?!", "(So he said.)", "\u201cGo!\u201d ", "\u300c\u884c\u3053\u3046\u3002\u300d", "Well\u2026"],
)
def test_a_sentence_may_end_before_closing_marks(text: str) -> None:
    assert ends_sentence(text)
    assert not ends_clause(text)


@pytest.mark.parametrize("text", ["Yes,", "so:", "(then;)", "\u4f60\u597d\uff0c", "wait \u2014"])
def test_a_clause_ends_without_ending_the_sentence(text: str) -> None:
    assert ends_clause(text)
    assert not ends_sentence(text)


@pytest.mark.parametrize("text", ["", "yes", "3.5", "e.g. this", "it's"])
def test_marks_within_the_text_end_nothing(text: str) -> None:
    assert not ends_sentence(text)
    assert not ends_clause(text)
