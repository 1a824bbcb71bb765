"""Quiet stretches of a recording, amplified for the speech detector: somebody far away beside somebody near. Pure.

The detector needs a level: of speech that is 40 dB below the rest, in noise, it finds next to nothing. Noise, hum,
breath and music are no speech to it when they are amplified either (`docs/accuracy.md`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from scrivano.media.chunking import WINDOW

__all__ = ["amplified"]

# The level around a window is that of the loudest windows within 0.6 s, so no pause of up to 1.2 s is amplified.
AROUND = 19
# Of them, the fourth: what is no longer than three (96 ms) is a click, and no speech.
LOUDEST = 4

# Below this level (RMS of full scale, -42 dB) a stretch is amplified, to -26 dB and by at most 40 dB. Below -100 dB is
# no sound.
QUIET = 10 ** (-42 / 20)
TARGET = 10 ** (-26 / 20)
MOST_GAIN = 100.0
SILENT = 10 ** (-100 / 20)

FULL_SCALE = 32768

Samples = NDArray[np.int16]
Floats = NDArray[np.float32]

_RAMP = np.linspace(0, 1, WINDOW, dtype=np.float32)


def amplified(blocks: Iterable[Samples]) -> Iterator[Samples]:
    """The same blocks, each a whole number of windows, with their quiet stretches as loud as speech is.

    Reads on until 0.6 s behind a block are known. Blocks of other sizes give the same audio.
    """
    waiting: list[Samples] = []
    # Of the windows of `waiting`, and of those before them that their levels depend on.
    levels = np.zeros(AROUND, np.float32)
    gain = 1.0
    for block in blocks:
        waiting.append(block)
        levels = np.concatenate([levels, _levels(block)])
        while waiting and len(levels) >= (windows := len(waiting[0]) // WINDOW) + 2 * AROUND:
            louder, gain = _louder(waiting.pop(0), levels[: windows + 2 * AROUND], gain)
            levels = levels[windows:]
            yield louder
    levels = np.concatenate([levels, np.zeros(AROUND, np.float32)])
    for block in waiting:
        windows = len(block) // WINDOW
        louder, gain = _louder(block, levels[: windows + 2 * AROUND], gain)
        levels = levels[windows:]
        yield louder


def _levels(block: Samples) -> Floats:
    """The RMS of each window, without a constant offset."""
    windows = block.reshape(-1, WINDOW).astype(np.float32) / FULL_SCALE
    levels: Floats = windows.std(axis=1)
    return levels


def _louder(block: Samples, levels: Floats, gain: float) -> tuple[Samples, float]:
    """The block with its gain, and the gain of its last window. `levels`: of its windows and of those around it.

    `gain`: of the window before it. Each window goes from the gain of the one before to its own.
    """
    around = np.partition(sliding_window_view(levels, 2 * AROUND + 1), -LOUDEST, axis=1)[:, -LOUDEST]
    quiet = (around < QUIET) & (around > SILENT)
    gains = np.where(quiet, np.minimum(TARGET / np.maximum(around, SILENT), MOST_GAIN), 1.0).astype(np.float32)
    if gain == 1.0 and not quiet.any():
        return block, gain
    starts = np.concatenate([[gain], gains[:-1]]).astype(np.float32)
    factors = starts[:, None] + (gains - starts)[:, None] * _RAMP
    louder = np.rint(block.reshape(-1, WINDOW) * factors).clip(-FULL_SCALE, FULL_SCALE - 1)
    return louder.astype(np.int16).reshape(-1), float(gains[-1])
