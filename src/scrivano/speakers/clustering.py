"""The voices of all stretches → the speakers. Pure; the work is linear in the length of the recording.

The same voices give the same speakers, to the last bit. The numbers below were chosen on 31 conversations of 2 to 5
real voices (docs/speakers.md), where the number of speakers was right in 28 with a threshold from 0.22 to 0.26.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scrivano.domain.speakers import SpeakerCount
from scrivano.speakers.chunk_voices import StretchVoices
from scrivano.speakers.embedding import SIZE, unit
from scrivano.speakers.linkage import Groups, Merge, groups_after, merge_all

__all__ = ["find_centres"]

Doubles = NDArray[np.float64]
Owners = NDArray[np.intp]

# Two groups are one speaker while the mean cosine between them is above this.
THRESHOLD = 0.26
# Two speakers are one if their mean cosine reaches this share of their own cohesion: fragments of one voice that
# differ, but not more than each of them differs within itself. They must have so many seconds.
AKIN = 0.53
AKIN_S = 3.0
LEAST_COHESION = 0.05

# So many vectors are clustered at once. In longer recordings, groups are joined up to this mean cosine, block by block,
# and at most so many are carried on.
BLOCK = 400
BLOCK_COSINE = 0.45
CARRIED = 300
# Vectors added to a block at once.
STRIDE = 100

# A group with less than this share of all speech is no speaker, within bounds in seconds; in a long recording with
# less than the second share.
SHARE, SHARE_LEAST_S, SHARE_MOST_S = 0.03, 1.5, 4.0
LONG_SHARE = 0.005

# Neighbouring parts share half of their audio, so they have half as many seconds as they add up to.
SHARED = 0.5

# Vectors are given to the nearest centre, and centres computed anew, so often. A vector that is not solid counts less.
ROUNDS = 2
NOT_SOLID = 0.25


def find_centres(stretches: Sequence[StretchVoices], count: SpeakerCount | None = None) -> Doubles:
    """One unit vector for each speaker, [speakers, 192], the one who speaks most first; empty without speech."""
    count = count or SpeakerCount()
    groups = _solid_groups(stretches)
    if not len(groups):
        return np.zeros((0, SIZE))
    tree = _Tree(groups, merge_all(groups), _enough_s(sum(one.speech_s for one in stretches)))
    owners = tree.by_threshold()
    if count.exactly is None:
        owners = tree.join_akin(owners)
    wanted = count.wanted(len(tree.speakers(owners)))
    if wanted is not None:
        owners = tree.with_speakers(wanted)
    return _refined(stretches, tree.centres(owners, wanted))


def _enough_s(speech_s: float) -> float:
    """Seconds that a speaker has at least."""
    return max(min(max(SHARE * speech_s, SHARE_LEAST_S), SHARE_MOST_S), LONG_SHARE * speech_s)


def _solid_groups(stretches: Sequence[StretchVoices]) -> Groups:
    """The solid vectors, in a long recording already joined to groups. Without any, all vectors."""
    pool = _Pool()
    for one in stretches:
        solid = np.flatnonzero(one.solid)
        for first in range(0, len(solid), STRIDE):
            some = solid[first : first + STRIDE]
            pool.add(Groups.single(one.vectors[some], one.lengths[some]))
    if not len(pool.groups):
        for one in stretches:
            pool.add(Groups.single(one.vectors, one.lengths))
    return pool.groups


class _Pool:
    """Groups that are condensed whenever they fill a block."""

    def __init__(self) -> None:
        self.groups = Groups.single(np.zeros((0, SIZE)), np.zeros(0))
        self._new = 0

    def add(self, others: Groups) -> None:
        self.groups = self.groups.with_others(others)
        self._new += len(others)
        if self._new >= BLOCK:
            self._condense()

    def _condense(self) -> None:
        merges = merge_all(self.groups)
        tight = sum(merge.cosine >= BLOCK_COSINE for merge in merges)
        enough = max(tight, len(self.groups) - CARRIED)
        self.groups = self.groups.joined(groups_after(len(self.groups), merges[:enough]))
        self._new = 0


@dataclass(frozen=True, slots=True)
class _Tree:
    """Groups, the order in which they are alike, and the seconds that a speaker has at least."""

    groups: Groups
    merges: Sequence[Merge]
    enough_s: float

    def by_threshold(self) -> Owners:
        return self._after(sum(merge.cosine >= THRESHOLD for merge in self.merges))

    def with_speakers(self, wanted: int) -> Owners:
        """The coarsest cut with so many speakers; near it, if no cut has so many. Never more than there are groups."""
        wanted = min(wanted, len(self.groups))
        finest = min(len(self.groups), 4 * wanted + 12)
        owners = self._after(len(self.merges))
        for groups in range(wanted, finest + 1):
            owners = self._after(len(self.groups) - groups)
            if len(self.speakers(owners)) >= wanted:
                break
        return owners

    def join_akin(self, owners: Owners) -> Owners:
        while (pair := self._most_akin(owners)) is not None:
            kept, gone = pair
            owners = np.unique(np.where(owners == gone, kept, owners), return_inverse=True)[1]
        return owners

    def speakers(self, owners: Owners) -> list[int]:
        """The groups that have enough seconds, the largest first."""
        seconds = self._seconds(owners)
        return [int(group) for group in np.argsort(-seconds, kind="stable") if seconds[group] >= self.enough_s]

    def centres(self, owners: Owners, wanted: int | None) -> Doubles:
        """`wanted`: of the largest groups so many; None: of those with enough seconds, or of the largest."""
        largest = np.argsort(-self._seconds(owners), kind="stable")
        kept = largest[:wanted] if wanted is not None else self.speakers(owners) or largest[:1]
        return np.asarray(unit(self.groups.joined(owners).sums[kept]), np.float64)

    def _after(self, merges: int) -> Owners:
        return groups_after(len(self.groups), self.merges[: max(0, merges)])

    def _seconds(self, owners: Owners) -> Doubles:
        return np.asarray(np.bincount(owners, self.groups.weights) * SHARED, np.float64)

    def _most_akin(self, owners: Owners) -> tuple[int, int] | None:
        seconds = self._seconds(owners)
        large = np.flatnonzero(seconds >= max(self.enough_s, AKIN_S))
        if len(large) < 2:
            return None
        joined = self.groups.joined(owners)
        own = np.maximum(joined.cohesion()[large], LEAST_COHESION)
        kinship = joined.likeness()[np.ix_(large, large)] / np.sqrt(np.outer(own, own))
        np.fill_diagonal(kinship, -np.inf)
        one, other = np.unravel_index(int(kinship.argmax()), kinship.shape)
        if kinship[one, other] < AKIN:
            return None
        first, second = sorted((int(large[one]), int(large[other])))
        return first, second


def _refined(stretches: Sequence[StretchVoices], centres: Doubles) -> Doubles:
    """The centres of the vectors that are nearest to each centre; those of parts that are not solid count less."""
    for _ in range(ROUNDS):
        sums = np.zeros_like(centres)
        for one in stretches:
            nearest = (one.vectors @ centres.T).argmax(axis=1)
            weights = one.lengths * np.where(one.solid, 1.0, NOT_SOLID)
            np.add.at(sums, nearest, one.vectors * weights[:, None])
        spoken = np.linalg.norm(sums, axis=1, keepdims=True) > 0
        centres = np.asarray(np.where(spoken, unit(sums), centres), np.float64)
    return centres
