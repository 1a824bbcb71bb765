"""Any number of channels to one that is never much quieter than the loudest of them. Pure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["Downmix"]

Samples = NDArray[np.float32]

# The levels and phases of the channels are measured in windows of this many samples (64 ms at 16 kHz).
WINDOW = 1024
# A change of the weights is spread over this many samples, so that it does not click.
RAMP = 256
# A channel is turned around if it resembles the loudest one upside down this much (normalized correlation).
INVERTED = -0.25
# Windows below this power (about -120 dB) keep the weights of the window before.
SILENT = 1e-12
# A mix is at most this much quieter than its loudest channel (power): 3 dB.
LEAST = 0.5

# The weight of a named channel where a layout is known; as in ITU-R BS.775, centre first.
LOW_FREQUENCY = ("LFE", "LFE2")
WEIGHTS = {"FC": 1.0, "FL": 0.707, "FR": 0.707}
SURROUND = 0.5


class Downmix:
    """`names`: what each channel is, as FFmpeg names it; an unnamed channel counts as much as any other."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self._weights = _weights(names)
        self._signs = np.ones(len(names), np.float32)
        self._used = self._weights / max(1e-9, float(self._weights.sum()))

    def mix(self, audio: Samples) -> Samples:
        """`audio` is [samples, channels], in windows from the start of the recording."""
        mixed = np.empty(len(audio), np.float32)
        for start in range(0, len(audio), WINDOW):
            mixed[start : start + WINDOW] = self._mix(audio[start : start + WINDOW])
        return mixed

    def _mix(self, window: Samples) -> Samples:
        earlier, self._used = self._used, self._measure(window)
        mixed: Samples = window @ self._used
        if not np.array_equal(earlier, self._used):
            ramp = np.linspace(1, 0, RAMP, dtype=np.float32)[: len(window)]
            mixed[:RAMP] += (window[:RAMP] @ (earlier - self._used)) * ramp
        return mixed

    def _measure(self, window: Samples) -> Samples:
        powers = np.mean(window * window, axis=0)
        weights = self._weights if np.any(powers[self._weights > 0] > SILENT) else np.ones_like(self._weights)
        counted = np.where(weights > 0, powers, 0)
        loudest = int(np.argmax(counted))
        if counted[loudest] <= SILENT:
            return self._used
        self._signs = self._aligned(window, powers, loudest)
        used = weights * self._signs
        used /= np.abs(used).sum()
        power = float(np.mean(np.square(window @ used)))
        if power < LEAST * counted[loudest]:
            used *= min(float(np.sqrt(LEAST * counted[loudest] / max(power, SILENT))), float(len(used)))
        return used.astype(np.float32)

    def _aligned(self, window: Samples, powers: Samples, loudest: int) -> Samples:
        """The signs under which the channels add up."""
        reference = window[:, loudest]
        scale = np.sqrt(np.maximum(powers * powers[loudest], SILENT * SILENT))
        likeness = (reference @ window) / len(window) / scale * self._signs * self._signs[loudest]
        # In relation to the loudest channel, as it was turned before.
        signs = np.where(likeness < INVERTED, -self._signs, self._signs)
        signs[loudest] = self._signs[loudest]
        silent = powers <= SILENT
        signs[silent] = self._signs[silent]
        return signs.astype(np.float32)


def _weights(names: tuple[str, ...]) -> Samples:
    if all(name in ("NONE", "") for name in names) or len(names) <= 2:
        return np.ones(len(names), np.float32)
    weights = [0.0 if name in LOW_FREQUENCY else WEIGHTS.get(name, SURROUND) for name in names]
    return np.array(weights if any(weights) else [1.0] * len(names), np.float32)
