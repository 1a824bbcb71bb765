"""The outline of a recording, as a page draws it: the loudest sample of each short stretch. Pure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scrivano.domain.chunk import SAMPLE_RATE
from scrivano.domain.recording import MOST_PEAKS, Waveform

__all__ = ["Peaks"]

# Samples of a stretch (50 ms) until there are too many.
STRETCH = 800


class Peaks:
    """Fed with 16-bit audio in order. Whenever there are more than `MOST_PEAKS`, each two become one."""

    def __init__(self) -> None:
        self._stretch = STRETCH
        self._values = np.zeros(0, np.uint8)
        self._rest = np.zeros(0, np.int16)

    def feed(self, audio: NDArray[np.int16]) -> None:
        audio = np.concatenate([self._rest, audio])
        whole = len(audio) // self._stretch * self._stretch
        self._rest = audio[whole:]
        self._values = np.concatenate([self._values, _peaks(audio[:whole], self._stretch)])
        while len(self._values) > MOST_PEAKS:
            self._halve()

    def waveform(self) -> Waveform:
        """Of what was fed so far. The last peak may be of a shorter stretch."""
        last = _peaks(self._rest, len(self._rest)) if len(self._rest) else self._rest[:0].astype(np.uint8)
        values = np.concatenate([self._values, last])[:MOST_PEAKS]
        return Waveform(self._stretch / SAMPLE_RATE, values.tobytes())

    def _halve(self) -> None:
        pairs = len(self._values) // 2
        odd = self._values[2 * pairs :]
        self._values = self._values[: 2 * pairs].reshape(-1, 2).max(axis=1)
        # The stretch that has no partner yet is counted again, as quiet or loud as it was, with what follows.
        if len(odd):
            self._rest = np.concatenate([np.full(self._stretch, int(odd[0]) << 7, np.int16), self._rest])
        self._stretch *= 2


def _peaks(audio: NDArray[np.int16], stretch: int) -> NDArray[np.uint8]:
    """-32768 has no positive counterpart in 16 bits, so the absolute values are made from wider numbers."""
    loudest = np.abs(audio.astype(np.int32)).reshape(-1, stretch).max(axis=1)
    peaks: NDArray[np.uint8] = np.minimum(loudest >> 7, 255).astype(np.uint8)
    return peaks
