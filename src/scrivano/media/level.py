"""Float audio of any level to 16 bits: quiet recordings are amplified, integers in float's clothes are scaled. Pure.

The speech detector hears nothing in speech that is 45 dB too quiet, and 16 bits keep too little of it.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

__all__ = ["Level"]

FULL_SCALE = 32768

# Windows of this many samples (32 ms at 16 kHz) have a level each; a block's level is that of its louder windows, so
# that a click or a few plosives do not make it loud.
WINDOW = 512
LOUDER_PERCENT = 80
# Recordings are amplified while no block of the last minute was louder than this (RMS of full scale, -38 dB). Speech
# at a normal distance has -20 to -30 dB.
QUIET = 10 ** (-38 / 20)
# What they are amplified to (-26 dB), by at most 40 dB.
TARGET = 10 ** (-26 / 20)
MAX_GAIN = 100.0
# Blocks (2 s) for which a loud one is remembered: what follows it is a pause, not a quiet recording.
MEMORY = 30
# Samples over which the gain, and the offset, change.
RAMP = 1600

# Float samples above this are integers of 16 bits; no recorder is 18 dB above full scale.
INTEGER_16 = 8.0
# Above this they are integers of 32 bits.
INTEGER_32 = 4.0 * FULL_SCALE
# A sample this near to full scale is clipped; this part of all sounding samples is noticed.
CLIPPED = 0.9995
CLIPPED_PART = 0.002


class Level:
    """The level of one recording. `integers`: its samples are floats that might be integers."""

    def __init__(self) -> None:
        self.integers = False
        self._scale = 1.0
        self._recent: deque[float] = deque(maxlen=MEMORY)
        self._gain = 1.0
        self._offset = 0.0
        self._samples = self._clipped = self._sounding = 0
        # Seconds (as samples) at which amplification began; None: it did not.
        self.amplified_at: int | None = None
        self._most_gain = 1.0

    @property
    def most_gain_db(self) -> int:
        """The strongest amplification."""
        return round(20 * math.log10(self._most_gain))

    @property
    def clipped(self) -> bool:
        return self._clipped > CLIPPED_PART * self._sounding

    @property
    def scaled(self) -> bool:
        """Whether the samples were integers."""
        return self._scale != 1.0

    def apply(self, blocks: Iterable[NDArray[np.float32]]) -> Iterator[NDArray[np.int16]]:
        """Each block as 16 bits. One block is read ahead."""
        waiting: NDArray[np.float32] | None = None
        for block in blocks:
            block = np.nan_to_num(block, copy=False, nan=0.0, posinf=0.0, neginf=0.0)
            self._find_scale(block)
            if waiting is not None:
                yield self._converted(waiting, block)
            waiting = block
        if waiting is not None:
            yield self._converted(waiting, waiting)

    def _find_scale(self, block: NDArray[np.float32]) -> None:
        if not self.integers or not len(block):
            return
        peak = float(np.max(np.abs(block)))
        if peak > INTEGER_32:
            self._scale = 2.0**-31
        elif peak > INTEGER_16 and self._scale == 1.0:
            self._scale = 1 / FULL_SCALE

    def _converted(self, block: NDArray[np.float32], ahead: NDArray[np.float32]) -> NDArray[np.int16]:
        if self._scale != 1.0:
            block, ahead = block * np.float32(self._scale), ahead * np.float32(self._scale)
        self._recent.append(_level(block))
        gain = _gain(max(*self._recent, _level(ahead)))
        self._note(block, gain)
        offset = self._offset_of(block, gain)
        loud = block
        if gain != 1.0 or self._gain != 1.0:
            loud = (block - _ramped(self._offset, offset, len(block))) * _ramped(self._gain, gain, len(block))
        self._gain, self._offset = gain, offset
        return np.clip(np.rint(loud * FULL_SCALE), -FULL_SCALE, FULL_SCALE - 1).astype(np.int16)

    def _offset_of(self, block: NDArray[np.float32], gain: float) -> float:
        """What a sound card adds to every sample, where it is more than the sound: amplified, it would be clipped."""
        if gain == 1.0:
            return 0.0
        if len(block) < RAMP:
            return self._offset
        offset = float(np.mean(block))
        return offset if abs(offset) > _level(block) else 0.0

    def _note(self, block: NDArray[np.float32], gain: float) -> None:
        size = np.abs(block)
        if gain > 1.0 and self.amplified_at is None:
            self.amplified_at = self._samples
        self._most_gain = max(self._most_gain, gain)
        self._samples += len(block)
        self._sounding += int(np.count_nonzero(size > QUIET))
        self._clipped += int(np.count_nonzero(size >= CLIPPED))


def _level(block: NDArray[np.float32]) -> float:
    """RMS of the louder windows, without a constant offset."""
    whole = block[: len(block) // WINDOW * WINDOW].reshape(-1, WINDOW)
    if not len(whole):
        return 0.0
    powers = np.maximum(np.mean(whole * whole, axis=1) - np.square(np.mean(whole, axis=1)), 0)
    return float(np.sqrt(np.percentile(powers, LOUDER_PERCENT)))


def _ramped(before: float, after: float, length: int) -> NDArray[np.float32]:
    """`length` times `after`, with a ramp from `before`."""
    values = np.full(length, after, np.float32)
    if before != after:
        ramp = min(RAMP, length)
        values[:ramp] = np.linspace(before, after, RAMP, dtype=np.float32)[:ramp]
    return values


def _gain(level: float) -> float:
    """1 for digital silence and for recordings that are loud enough."""
    return min(TARGET / level, MAX_GAIN) if 0 < level < QUIET else 1.0
