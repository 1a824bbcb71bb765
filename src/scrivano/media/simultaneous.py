"""Whether two audio tracks of a file belong together: one person each, the same sound, or two versions. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Self

import numpy as np
from numpy.typing import NDArray

from scrivano.domain.chunk import SAMPLE_RATE
from scrivano.media.chunking import WINDOW

__all__ = ["SECOND", "Relation", "TrackSound", "relation"]

# A window with this probability is speech.
SPEECH = 0.5
# Speech next to that of the other track, by so many windows (0.3 s), is the same word, detected a little later.
NEAR = 9
# A track with less speech of its own than this, and than this part of its speech, says nothing new.
OWN_S = 0.5
OWN_PART = 0.05
# Where both tracks speak, loudness that rises and falls together to this degree is the same sound (correlation).
SAME_SOUND = 0.6
# People who talk to each other speak at the same time much more rarely than chance would have it; a film and its
# commentary do so as often.
BY_CHANCE = 0.7
# Both must speak for this part of the time before chance can be judged.
MUCH_SPEECH = 0.2
LEAST_COMPARED_S = 5.0

SECOND = SAMPLE_RATE // WINDOW
QUIETEST = 1e-4


class Relation(Enum):
    """Of a track to another one. `PARTNER`: mixed, they are a conversation. `MORE`: the same, and something new.

    `COPY`: it says nothing new. `VERSION`: something else at the same time, such as a commentary or a translation.
    """

    PARTNER = "partner"
    MORE = "more"
    COPY = "copy"
    VERSION = "version"


@dataclass(frozen=True, slots=True)
class TrackSound:
    """What was heard in a track from its start on, as far as it was read: for each window of 32 ms one value."""

    speech: NDArray[np.bool_]
    loudness: NDArray[np.float32]

    @classmethod
    def of(cls, probabilities: NDArray[np.float32], audio: NDArray[np.int16]) -> Self:
        """`audio` has `WINDOW` samples for each probability."""
        samples = audio.reshape(-1, WINDOW).astype(np.float32) / 32768
        power = np.sqrt(np.mean(samples * samples, axis=1))
        return cls(probabilities >= SPEECH, np.log(np.maximum(power, QUIETEST)).astype(np.float32))

    @classmethod
    def joined(cls, parts: Sequence[TrackSound]) -> TrackSound:
        """One after the other."""
        speech = np.concatenate([part.speech for part in parts])
        return cls(speech, np.concatenate([part.loudness for part in parts]))

    def mixed(self, other: TrackSound) -> TrackSound:
        """Both at the same time."""
        length = max(len(self.speech), len(other.speech))
        one, two = self._padded(length), other._padded(length)
        return TrackSound(one.speech | two.speech, np.maximum(one.loudness, two.loudness))

    def _padded(self, length: int) -> TrackSound:
        missing = length - len(self.speech)
        quiet = np.full(missing, np.log(QUIETEST), np.float32)
        return self.joined([self, TrackSound(np.zeros(missing, np.bool_), quiet)])


def relation(main: TrackSound, other: TrackSound) -> Relation:
    """What `other` is to `main`. Where only one of the two was read, nothing is known about them."""
    length = min(len(main.speech), len(other.speech))
    spoken, said = main.speech[:length], other.speech[:length]
    both = spoken & said
    alone = np.count_nonzero(said & ~_widened(spoken)) + np.count_nonzero(other.speech[length:])
    new = bool(alone >= max(OWN_S * SECOND, OWN_PART * np.count_nonzero(other.speech)))
    same = _correlation(main.loudness[:length][both], other.loudness[:length][both]) >= SAME_SOUND
    if same:
        return Relation.MORE if new else Relation.COPY
    return Relation.VERSION if _is_by_chance(spoken, said, both) else Relation.PARTNER


def _is_by_chance(spoken: NDArray[np.bool_], said: NDArray[np.bool_], both: NDArray[np.bool_]) -> bool:
    counts = [np.count_nonzero(one) for one in (spoken, said)]
    if len(both) < LEAST_COMPARED_S * SECOND or min(counts) <= MUCH_SPEECH * len(both):
        return False
    return bool(np.count_nonzero(both) * len(both) > BY_CHANCE * counts[0] * counts[1])


def _widened(speech: NDArray[np.bool_]) -> NDArray[np.bool_]:
    if not len(speech):
        return speech
    near: NDArray[np.bool_] = np.convolve(speech, np.ones(2 * NEAR + 1))[NEAR : NEAR + len(speech)] > 0
    return near


def _correlation(one: NDArray[np.float32], two: NDArray[np.float32]) -> float:
    """0 where there is too little to compare."""
    if len(one) < SECOND or not np.std(one) or not np.std(two):
        return 0.0
    return float(np.corrcoef(one, two)[0, 1])
