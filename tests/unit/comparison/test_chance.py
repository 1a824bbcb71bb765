"""Whether a difference is more than chance."""

from __future__ import annotations

import random

from scrivano.comparison.chance import Piece, compare


def pieces(count: int, a: float, b: float, seed: int = 3) -> list[Piece]:
    """Pieces of 30 words whose words are wrong at these rates."""
    lot = random.Random(seed)
    wrong = [[sum(lot.random() < rate for _ in range(30)) for rate in (a, b)] for _ in range(count)]
    return [Piece(30, first, second) for first, second in wrong]


def test_the_same_errors_are_no_difference() -> None:
    result = compare([Piece(30, 3, 3)] * 40)

    assert (result.difference, result.low, result.high, result.p) == (0, 0, 0, 1)
    assert not result.significant


def test_a_clear_difference_is_more_than_chance() -> None:
    result = compare(pieces(200, 0.2, 0.1))

    assert result.significant
    assert result.low is not None
    assert result.high is not None
    assert result.low <= result.difference <= result.high < 0


def test_chance_alone_is_rarely_called_a_difference() -> None:
    called = sum(compare(pieces(60, 0.15, 0.15, seed), seed).significant for seed in range(60))

    assert called <= 9  # 3 are expected


def test_the_interval_contains_the_true_difference_nearly_always() -> None:
    missed = 0
    for seed in range(60):
        result = compare(pieces(60, 0.2, 0.15, seed), seed)
        assert result.low is not None
        assert result.high is not None
        missed += not result.low <= -0.05 <= result.high
    assert missed <= 9


def test_few_pieces_say_nothing() -> None:
    result = compare(pieces(4, 0.9, 0.0))

    assert (result.low, result.high, result.p) == (None, None, None)
    assert result.difference < 0
    assert not result.significant


def test_the_same_seed_gives_the_same_result() -> None:
    some = pieces(50, 0.2, 0.18)

    assert compare(some, 5) == compare(some, 5)
    assert compare(some, 5) != compare(some, 6)


def test_pieces_without_words_have_no_rate() -> None:
    assert compare([Piece(0, 0, 1)] * 9).difference == 0
