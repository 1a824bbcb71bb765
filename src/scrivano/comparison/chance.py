"""Whether one system makes fewer errors than another by more than chance: the paired bootstrap.

Bisani and Ney, "Bootstrap estimates for confidence intervals in ASR performance evaluation" (ICASSP 2004). The same
pieces of speech are drawn for both systems, so that what is hard for both does not hide their difference.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Comparison", "Piece", "compare"]

# Draws. With so many, the interval of the same figures with another seed differs by a few hundredths of its width.
DRAWS = 2000

# Draws of pieces in all: with very many pieces, fewer samples are drawn.
MOST_PIECES = 5_000_000
FEWEST_DRAWS = 500

# Fewer pieces than this say nothing about chance.
FEWEST_PIECES = 5

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of speech that both systems have transcribed: its words in the reference, and the errors of each."""

    words: int
    errors_a: int
    errors_b: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """`difference`: the error rate of B less that of A; below 0, B is better. `low` to `high` is its 95 % interval.

    `p`: how often chance alone gives a difference of this size (two-sided). None, like the interval, if there are too
    few pieces to say anything.
    """

    difference: float
    low: float | None
    high: float | None
    p: float | None
    pieces: int
    draws: int

    @property
    def significant(self) -> bool:
        return self.p is not None and self.p < 1 - CONFIDENCE


def compare(pieces: Sequence[Piece], seed: int = 1) -> Comparison:
    """Compare two systems over the same pieces. The same seed and pieces give the same result."""
    difference = _difference(sum(p.words for p in pieces), sum(p.errors_b - p.errors_a for p in pieces))
    if len(pieces) < FEWEST_PIECES:
        return Comparison(difference=difference, low=None, high=None, p=None, pieces=len(pieces), draws=0)
    draws = max(FEWEST_DRAWS, min(DRAWS, MOST_PIECES // len(pieces)))
    drawn = _draw(pieces, draws, random.Random(seed))
    # Around 0 instead of around the measured difference: what chance alone would give.
    beyond = sum(abs(one - difference) >= abs(difference) for one in drawn)
    outside = round(draws * (1 - CONFIDENCE) / 2)
    return Comparison(
        difference=difference,
        low=drawn[outside],
        high=drawn[-1 - outside],
        p=(beyond + 1) / (draws + 1),
        pieces=len(pieces),
        draws=draws,
    )


def _draw(pieces: Sequence[Piece], draws: int, lot: random.Random) -> list[float]:
    """The differences in samples of as many pieces, drawn with replacement; ascending."""
    values = [(piece.words, piece.errors_b - piece.errors_a) for piece in pieces]
    found = []
    for _ in range(draws):
        sample = lot.choices(values, k=len(values))
        found.append(_difference(sum(words for words, _ in sample), sum(errors for _, errors in sample)))
    return sorted(found)


def _difference(words: int, errors: int) -> float:
    return errors / words if words else 0.0
