"""One channel of several, where what the others have is known. Pure."""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from scrivano.media.channels import Content, Picture, levels
from scrivano.media.downmix import Downmix, MakeMixdown

__all__ = ["mix_of", "side_of"]

Samples = NDArray[np.float32]

# Something new in a channel is at least this loud (dB of full scale), and so much louder than what was known of it.
AUDIBLE_DB = -60.0
NEW_DB = 9.0
# Frames of 0.1 s by which a copy may come later or earlier, and how many frames must be new.
DELAY_FRAMES = 5
NEW_FRAMES = 2
# Samples of a change from one to the other.
RAMP = 256

_COPIES = (Content.COPY, Content.DELAYED_COPY, Content.INVERTED_COPY, Content.ONE_SIDE)


def mix_of(picture: Picture | None) -> MakeMixdown:
    """How to make one channel of all. Copies are not averaged: that would be an echo, a comb filter or silence."""
    return partial(_BestChannel, picture) if picture is not None and picture.content in _COPIES else Downmix


def side_of(channel: int) -> MakeMixdown:
    """One channel alone. Where a recording has only one, that is the first."""
    return partial(_OneChannel, channel)


class _OneChannel:
    def __init__(self, channel: int, names: tuple[str, ...]) -> None:
        self._channel = channel

    def mix(self, audio: Samples) -> Samples:
        if self._channel >= audio.shape[1]:
            return np.zeros(len(audio), np.float32)
        return audio[:, self._channel].copy()


class _BestChannel:
    """The best channel; all of them wherever another one has something that it has not."""

    def __init__(self, picture: Picture, names: tuple[str, ...]) -> None:
        self._picture = picture
        self._downmix = Downmix(names)
        self._alone = True

    def mix(self, audio: Samples) -> Samples:
        was_alone, self._alone = self._alone, self._nothing_new(audio)
        if self._alone and was_alone:
            return audio[:, self._picture.best].copy()
        if audio.shape[1] != self._picture.channels:
            return self._downmix.mix(audio)
        best, mixed = audio[:, self._picture.best], self._downmix.mix(audio)
        now, before = (best, mixed) if self._alone else (mixed, best)
        now = now.copy()
        if self._alone != was_alone:
            ramp = np.linspace(1, 0, RAMP, dtype=np.float32)[: len(now)]
            now[:RAMP] += (before[:RAMP] - now[:RAMP]) * ramp
        return now

    def _nothing_new(self, audio: Samples) -> bool:
        if audio.shape[1] != self._picture.channels:
            return False
        heard, best = levels(audio), self._picture.best
        if not len(heard):
            return self._alone
        padded = np.pad(heard[:, best], DELAY_FRAMES, mode="edge")
        around = np.max([padded[shift : shift + len(heard)] for shift in range(2 * DELAY_FRAMES + 1)], axis=0)
        for channel, floor in enumerate(self._picture.floor_db):
            leak = self._picture.leak_db[best][channel] or -np.inf  # 0: not known
            known = around + self._picture.gains_db[channel] if floor is None else np.maximum(floor, around + leak)
            new = heard[:, channel] > np.maximum(known + NEW_DB, AUDIBLE_DB)
            if channel != best and np.count_nonzero(new) >= NEW_FRAMES:
                return False
        return True
