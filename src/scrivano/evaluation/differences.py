"""Two systems over the same recordings: whose words are right, and whether the difference is more than chance. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from scrivano.comparison.alignment import Kind
from scrivano.comparison.chance import Comparison, Piece, compare
from scrivano.evaluation.scoring import Score

__all__ = ["Compared", "Difference", "difference", "differences_by_language"]

# With fewer recordings than this, pieces of recordings are drawn, because so few recordings say little.
FEWEST_RECORDINGS = 20

# Words of such a piece: about a sentence or two, so that errors that come together stay together.
PIECE_WORDS = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """`only_a`: reference words that only the first system has right; `only_b` likewise. `both` have, `neither` has.

    `unit`: what was drawn, `recordings` or `pieces` of them.
    """

    comparison: Comparison
    unit: str
    both: int
    only_a: int
    only_b: int
    neither: int


# The first system with each other one: the names of both, and their differences, by language and as `all`.
Compared = Sequence[tuple[str, str, Mapping[str, Difference]]]

Pair = tuple[Score, Score]


def difference(pairs: Sequence[Pair], seed: int) -> Difference:
    """`pairs`: for each recording the scores of both systems. Words and characters are not mixed: if there are words,
    recordings in languages without spaces do not count."""
    words = [pair for pair in pairs if not pair[0].by_characters]
    judged = words or pairs
    whole = len(judged) >= FEWEST_RECORDINGS
    pieces = [piece for pair in judged for piece in _pieces(pair, None if whole else PIECE_WORDS)]
    right = [(a, b) for first, second in judged for a, b in zip(_right(first), _right(second), strict=True)]
    return Difference(
        comparison=compare(pieces, seed),
        unit="recordings" if whole else f"pieces of {PIECE_WORDS} words",
        both=right.count((True, True)),
        only_a=right.count((True, False)),
        only_b=right.count((False, True)),
        neither=right.count((False, False)),
    )


def differences_by_language(pairs: Sequence[Pair], seed: int) -> Mapping[str, Difference]:
    languages = sorted({pair[0].language or "?" for pair in pairs})
    return {name: difference([pair for pair in pairs if (pair[0].language or "?") == name], seed) for name in languages}


def _pieces(pair: Pair, length: int | None) -> list[Piece]:
    """The reference in pieces of this many words, the last one longer; None: in one piece."""
    errors_a, errors_b = _errors(pair[0]), _errors(pair[1])
    words = len(pair[0].reference)
    count = 1 if length is None else max(1, words // length)
    bounds = [round(words * n / count) for n in range(count)] + [len(errors_a)]
    return [
        Piece(min(end, words) - start, sum(errors_a[start:end]), sum(errors_b[start:end]))
        for start, end in pairwise(bounds)
    ]


def _errors(score: Score) -> list[int]:
    """The errors at each word of the reference. Inserted words count at the word before them, the first ones at the
    first word. There is one place more than words, for a reference without any."""
    errors = [0] * (len(score.reference) + 1)
    last = 0
    for step in score.steps:
        last = last if step.a is None else step.a
        errors[last] += step.kind is not Kind.EQUAL
    return errors


def _right(score: Score) -> list[bool]:
    """For each word of the reference, whether the transcript has it."""
    equal = {step.a for step in score.steps if step.kind is Kind.EQUAL}
    return [place in equal for place in range(len(score.reference))]
