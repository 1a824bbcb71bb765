"""Where two texts agree and where they differ, as runs of words of one kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from scrivano.comparison.alignment import Kind, Step, align
from scrivano.comparison.tokens import Token

__all__ = ["Span", "align_tokens", "spans_of"]


@dataclass(frozen=True, slots=True)
class Span:
    """A run of words of one kind: those of the first text and those of the second. One of them may be empty."""

    kind: Kind
    a: tuple[Token, ...]
    b: tuple[Token, ...]

    @property
    def start(self) -> float | None:
        """When the first of its words starts, in either text."""
        return min((token.start for token in (*self.a, *self.b) if token.start is not None), default=None)

    @property
    def end(self) -> float | None:
        return max((token.end for token in (*self.a, *self.b) if token.end is not None), default=None)


def align_tokens(a: Sequence[Token], b: Sequence[Token]) -> list[Step]:
    return align([token.form for token in a], [token.form for token in b])


def spans_of(a: Sequence[Token], b: Sequence[Token], steps: Sequence[Step]) -> list[Span]:
    """The steps of `align_tokens` as runs, in order."""
    return [_span(a, b, kind, list(run)) for kind, run in groupby(steps, key=lambda step: step.kind)]


def _span(a: Sequence[Token], b: Sequence[Token], kind: Kind, run: Sequence[Step]) -> Span:
    first = tuple(a[step.a] for step in run if step.a is not None)
    second = tuple(b[step.b] for step in run if step.b is not None)
    return Span(kind, first, second)
