"""Average linkage over groups of unit vectors, by their mean cosine. Pure.

A group is kept as the weighted sum of its vectors: the mean cosine between all pairs of two groups is then one product
of their sums (Sokal and Michener's average linkage, UPGMA, for cosines). Nothing is random, and of equal pairs the one
with the lowest numbers is joined first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Groups", "Merge", "groups_after", "merge_all"]

Doubles = NDArray[np.float64]

# Below every cosine.
_NEVER = -9.0


@dataclass(frozen=True, slots=True)
class Groups:
    """`sums`: [groups, size], of vectors times their weights. `weights` and `squares`: [groups], sums of the vectors'
    weights, and of the squares of these."""

    sums: Doubles
    weights: Doubles
    squares: Doubles

    @classmethod
    def single(cls, vectors: NDArray[np.floating], weights: NDArray[np.floating]) -> Groups:
        """Each vector as a group of its own."""
        exact: Doubles = weights.astype(np.float64)
        return cls(vectors.astype(np.float64) * exact[:, None], exact, exact**2)

    def __len__(self) -> int:
        return len(self.weights)

    def with_others(self, others: Groups) -> Groups:
        return Groups(
            np.concatenate([self.sums, others.sums]),
            np.concatenate([self.weights, others.weights]),
            np.concatenate([self.squares, others.squares]),
        )

    def joined(self, owners: NDArray[np.intp]) -> Groups:
        """Groups with the same owner become one; `owners` counts from 0, without gaps."""
        count = int(owners.max()) + 1
        sums = np.zeros((count, self.sums.shape[1]))
        np.add.at(sums, owners, self.sums)
        return Groups(sums, _totals(owners, self.weights, count), _totals(owners, self.squares, count))

    def cohesion(self) -> Doubles:
        """The mean cosine between different vectors of each group; 1 for a single vector."""
        pairs = self.weights**2 - self.squares
        total = (self.sums**2).sum(axis=1) - self.squares
        return np.where(pairs > 1e-9, total / np.maximum(pairs, 1e-9), 1.0)

    def likeness(self) -> Doubles:
        """The mean cosine between each two groups; what a group is to itself is `_NEVER`."""
        cosines: Doubles = self.sums @ self.sums.T / np.outer(self.weights, self.weights)
        np.fill_diagonal(cosines, _NEVER)
        return cosines


def _totals(owners: NDArray[np.intp], values: Doubles, count: int) -> Doubles:
    return np.asarray(np.bincount(owners, values, count), np.float64)


@dataclass(frozen=True, slots=True)
class Merge:
    """The group `gone` became part of `kept`; `cosine`: the mean one between the two."""

    kept: int
    gone: int
    cosine: float


def merge_all(groups: Groups) -> list[Merge]:
    """Join the two most alike groups, again and again, until one is left. Quadratic in the number of groups."""
    sums, weights = groups.sums.copy(), groups.weights.copy()
    likeness = groups.likeness()
    alive = np.ones(len(groups), np.bool_)
    # The group most like each one.
    best = likeness.argmax(axis=1)
    numbers = np.arange(len(groups))
    merges: list[Merge] = []
    for _ in range(len(groups) - 1):
        nearest = np.where(alive, likeness[numbers, best], _NEVER)
        one = int(nearest.argmax())
        kept, gone = sorted((one, int(best[one])))
        merges.append(Merge(kept, gone, float(nearest[one])))
        sums[kept] += sums[gone]
        weights[kept] += weights[gone]
        alive[gone] = False
        row = np.where(alive, sums @ sums[kept] / (weights * weights[kept]), _NEVER)
        row[kept] = _NEVER
        likeness[kept], likeness[:, kept] = row, row
        likeness[gone], likeness[:, gone] = _NEVER, _NEVER
        best[kept] = row.argmax()
        stale = np.flatnonzero(alive & ((best == kept) | (best == gone)))
        best[stale] = likeness[stale].argmax(axis=1)
        best[alive & (row > likeness[numbers, best])] = kept
    return merges


def groups_after(count: int, merges: Sequence[Merge]) -> NDArray[np.intp]:
    """Which group each of `count` groups belongs to after these merges, numbered from 0 without gaps."""
    owners = np.arange(count)
    for merge in merges:
        owners[owners == merge.gone] = merge.kept
    return np.unique(owners, return_inverse=True)[1]
