"""Two systems, word by word."""

from __future__ import annotations

import random

import pytest
from evaluation_support import scored

from scrivano.evaluation.differences import Pair, difference, differences_by_language
from scrivano.evaluation.scoring import Score


def pairs(count: int, words: int, worse: float, language: str = "de") -> list[Pair]:
    """The first system has one word in twenty wrong, the second also the given share."""
    lot = random.Random(4)
    found = []
    for _ in range(count):
        text = [f"w{n}" for n in range(words)]
        first = [word if lot.random() > 0.05 else "x" for word in text]
        second = [word if lot.random() > worse else "y" for word in first]
        found.append((_score(text, first, language), _score(text, second, language)))
    return found


def _score(text: list[str], heard: list[str], language: str) -> Score:
    return scored(" ".join(text), " ".join(heard), language)


def test_a_worse_system_is_found_out() -> None:
    found = difference(pairs(25, 40, 0.1), seed=1)

    assert found.comparison.significant
    assert 0.05 < found.comparison.difference < 0.15
    assert (found.unit, found.comparison.pieces) == ("recordings", 25)
    assert found.both + found.only_a + found.only_b + found.neither == 25 * 40
    assert (found.only_b, found.only_a > 50) == (0, True)


def test_a_few_long_recordings_are_compared_in_pieces() -> None:
    found = difference(pairs(2, 300, 0.1), seed=1)

    assert (found.unit, found.comparison.pieces) == ("pieces of 30 words", 20)
    assert found.comparison.difference == pytest.approx(found.only_a / 600)


def test_inserted_words_count_at_their_place() -> None:
    text = [f"w{n}" for n in range(100)]
    good = _score(text, text, "it")
    bad = _score(text, ["um", *text, "um"], "it")

    found = difference([(good, bad)], seed=1)

    assert found.comparison.difference == 2 / 100
    assert found.both == 100


def test_languages_are_compared_for_themselves() -> None:
    found = differences_by_language([*pairs(25, 40, 0.1), *pairs(25, 40, 0.0, "it")], seed=1)

    assert found["de"].comparison.significant
    assert not found["it"].comparison.significant
    assert found["it"].comparison.difference == 0


def test_silence_alone_cannot_be_compared() -> None:
    found = difference([(scored("", ""), scored("", "a"))], seed=1)

    assert (found.comparison.p, found.comparison.difference) == (None, 0.0)
