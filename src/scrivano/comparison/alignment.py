"""Which word of one text belongs to which word of the other: the alignment with the fewest edits (Levenshtein).

Long texts are first divided at runs of words that occur exactly once in both, as "patience" comparisons of source code
are; what lies between is aligned exactly. So a day of speech takes seconds, not hours. Near such a run the
result may have an edit more than the fewest.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

__all__ = ["Counts", "Kind", "Step", "align", "count"]

# Texts whose lengths, multiplied, are at most this are aligned exactly: under half a second.
EXACT_CELLS = 1_000_000

# Lengths of the runs at which longer texts are divided: the longest that are found.
ANCHOR_WORDS = (6, 4, 3, 2, 1)


class Kind(StrEnum):
    """`deleted`: only the first text has it; `inserted`: only the second one."""

    EQUAL = "equal"
    SUBSTITUTED = "substituted"
    DELETED = "deleted"
    INSERTED = "inserted"


@dataclass(frozen=True, slots=True)
class Step:
    """One step through both texts. `a` and `b` are places in them; None where a text has nothing."""

    kind: Kind
    a: int | None
    b: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Steps of each kind. With a reference as the first text: hits, substitutions, deletions, insertions."""

    equal: int = 0
    substituted: int = 0
    deleted: int = 0
    inserted: int = 0

    @property
    def edits(self) -> int:
        return self.substituted + self.deleted + self.inserted

    @property
    def first(self) -> int:
        """The length of the first text."""
        return self.equal + self.substituted + self.deleted

    @property
    def second(self) -> int:
        return self.equal + self.substituted + self.inserted

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            equal=self.equal + other.equal,
            substituted=self.substituted + other.substituted,
            deleted=self.deleted + other.deleted,
            inserted=self.inserted + other.inserted,
        )


def count(steps: Sequence[Step]) -> Counts:
    kinds = Counter(step.kind.value for step in steps)
    return Counts(**kinds)


def align(a: Sequence[str], b: Sequence[str]) -> list[Step]:
    """The steps from one text to the other, in order. Every place of both texts is in exactly one step."""
    return list(_align(a, b, 0, len(a), 0, len(b)))


def _align(a: Sequence[str], b: Sequence[str], a0: int, a1: int, b0: int, b1: int) -> Iterator[Step]:
    """Align `a[a0:a1]` with `b[b0:b1]`."""
    # An explicit stack: the parts of a long text may be nested deeper than Python's calls.
    todo = [(a0, a1, b0, b1)]
    while todo:
        a0, a1, b0, b1 = todo.pop()
        while a0 < a1 and b0 < b1 and a[a0] == b[b0]:
            yield Step(Kind.EQUAL, a0, b0)
            a0, b0 = a0 + 1, b0 + 1
        if (a1 - a0) * (b1 - b0) <= EXACT_CELLS:
            yield from _exact(a, b, a0, a1, b0, b1)
        else:
            todo += reversed(_divide(a, b, a0, a1, b0, b1))


def _exact(a: Sequence[str], b: Sequence[str], a0: int, a1: int, b0: int, b1: int) -> Iterator[Step]:
    tail = 0
    while a0 < a1 - tail and b0 < b1 - tail and a[a1 - 1 - tail] == b[b1 - 1 - tail]:
        tail += 1
    yield from _edits(a[a0 : a1 - tail], b[b0 : b1 - tail], a0, b0)
    for n in range(tail, 0, -1):
        yield Step(Kind.EQUAL, a1 - n, b1 - n)


def _edits(a: Sequence[str], b: Sequence[str], a0: int, b0: int) -> list[Step]:
    """Levenshtein's table, and the way back through it."""
    if not a or not b:
        return [Step(Kind.DELETED, a0 + i, None) for i in range(len(a))] + [
            Step(Kind.INSERTED, None, b0 + j) for j in range(len(b))
        ]
    rows = [list(range(len(b) + 1))]
    for i, word in enumerate(a, 1):
        above, row, left = rows[-1], [i], i
        for j, other in enumerate(b):
            left = above[j] if word == other else 1 + min(left, above[j], above[j + 1])
            row.append(left)
        rows.append(row)
    return _way_back(a, b, rows, a0, b0)


def _way_back(a: Sequence[str], b: Sequence[str], rows: Sequence[Sequence[int]], a0: int, b0: int) -> list[Step]:
    i, j, steps = len(a), len(b), list[Step]()
    while i or j:
        here = rows[i][j]
        if i and j and a[i - 1] == b[j - 1] and rows[i - 1][j - 1] == here:
            i, j = i - 1, j - 1
            steps.append(Step(Kind.EQUAL, a0 + i, b0 + j))
        elif i and j and rows[i - 1][j - 1] + 1 == here:
            i, j = i - 1, j - 1
            steps.append(Step(Kind.SUBSTITUTED, a0 + i, b0 + j))
        elif i and rows[i - 1][j] + 1 == here:
            i -= 1
            steps.append(Step(Kind.DELETED, a0 + i, None))
        else:
            j -= 1
            steps.append(Step(Kind.INSERTED, None, b0 + j))
    return steps[::-1]


def _divide(a: Sequence[str], b: Sequence[str], a0: int, a1: int, b0: int, b1: int) -> list[tuple[int, int, int, int]]:
    """The same two stretches as several pairs of shorter ones, in order."""
    for length in ANCHOR_WORDS:
        if anchors := _anchors(a, b, a0, a1, b0, b1, length):
            # Each part begins with its anchor, whose words are equal.
            places = [(a0, b0), *anchors, (a1, b1)]
            return [(i, i2, j, j2) for (i, j), (i2, j2) in pairwise(places)]
    middle_a, middle_b = (a0 + a1) // 2, (b0 + b1) // 2  # Two texts that have hardly a word in common.
    return [(a0, middle_a, b0, middle_b), (middle_a, a1, middle_b, b1)]


def _anchors(
    a: Sequence[str], b: Sequence[str], a0: int, a1: int, b0: int, b1: int, length: int
) -> list[tuple[int, int]]:
    """Where runs of this length start that occur once in each text, as far as they are in the same order in both."""
    in_b = _unique(b, b0, b1, length)
    pairs = [(i, in_b[run]) for run, i in _unique(a, a0, a1, length).items() if run in in_b]
    return [(i, j) for i, j in _increasing(pairs) if (i, j) != (a0, b0)]


def _unique(text: Sequence[str], start: int, end: int, length: int) -> dict[tuple[str, ...], int]:
    """Each run of words that occurs once, and its place; in the order of their places."""
    places: dict[tuple[str, ...], int] = {}
    several: set[tuple[str, ...]] = set()
    for i in range(start, end - length + 1):
        run = tuple(text[i : i + length])
        if run in places:
            several.add(run)
        places[run] = i
    return {run: i for run, i in places.items() if run not in several}


def _increasing(pairs: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The longest selection whose second numbers increase, too. `pairs` are sorted by their first numbers."""
    ends: list[int] = []  # the smallest last number of a selection of each length
    which: list[int] = []  # its pair
    before: list[int | None] = []
    for n, (_, j) in enumerate(pairs):
        at = bisect_left(ends, j)
        before.append(which[at - 1] if at else None)
        ends[at : at + 1] = [j]
        which[at : at + 1] = [n]
    chosen, last = list[tuple[int, int]](), which[-1] if which else None
    while last is not None:
        chosen.append(pairs[last])
        last = before[last]
    return chosen[::-1]
