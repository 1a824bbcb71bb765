"""Text as it is searched."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scrivano.domain.folding import composed, fold, search_terms


@pytest.mark.parametrize(
    ("text", "folded"),
    [("Über ÉCOLE", "uber ecole"), ("straße", "straße"), ("你好", "你好")],
)
def test_case_and_accents_do_not_matter(text: str, folded: str) -> None:
    assert fold(text) == folded


@given(st.text())
def test_a_place_in_the_folded_text_is_the_same_place_in_the_text(text: str) -> None:
    assert len(fold(text)) == len(text)
    assert fold(fold(text)) == fold(text)


def test_white_space_is_single_and_letters_are_whole() -> None:
    assert composed(" e\u0301te\u0301 \n  fini ") == "été fini"


@pytest.mark.parametrize(
    ("query", "terms"),
    [
        ("", []),
        ("Budget  Plan", ["budget", "plan"]),
        ('Budget "Next  Week"', ["budget", "next week"]),
        ('open "end', ["open", "end"]),
        ('"" x', ["x"]),
    ],
)
def test_words_and_phrases_of_a_search(query: str, terms: list[str]) -> None:
    assert search_terms(query) == terms
    assert len(search_terms("a " * 100)) == 16
