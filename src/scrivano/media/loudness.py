"""Loudness in place of speech probabilities, for a recording that is to be transcribed as a whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from scrivano.media.chunking import WINDOW

# How far below full scale 16 bits reach.
FLOOR_DB = 96.0


def loudness(blocks: Iterable[NDArray[np.int16]]) -> Iterator[NDArray[np.float32]]:
    """One value per window from 0.5 (digital silence) to 1 (full scale): everything counts as speech.

    Chunks are cut where the value is lowest, so the recording is cut where it is quietest.
    """
    return map(_loudness, blocks)


def _loudness(audio: NDArray[np.int16]) -> NDArray[np.float32]:
    windows = audio.reshape(-1, WINDOW).astype(np.float32) / 32768
    power = np.maximum(np.mean(windows * windows, axis=1), 10 ** (-FLOOR_DB / 10))
    level = np.clip(1 + 10 * np.log10(power) / FLOOR_DB, 0, 1)
    probabilities: NDArray[np.float32] = (0.5 + level / 2).astype(np.float32)
    return probabilities
