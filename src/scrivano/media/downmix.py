"""Any number of channels to one that is never much quieter than the loudest of them. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["Downmix", "MakeMixdown", "Mixdown"]

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


class Mixdown(Protocol):
    """Many channels to one."""

    def mix(self, audio: Samples) -> Samples:
        """`audio` is [samples, channels], in windows from the start of the recording."""
        ...


# From the names of the channels, as FFmpeg has them.
MakeMixdown = Callable[[tuple[str, ...]], Mixdown]


class Downmix:
    """`names`: what each channel is, as FFmpeg names it; an unnamed channel counts as much as any other."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self._weights = _weights(names)
        self._plain: Samples = self._weights / self._weights.sum()
        self._signs = np.ones(len(names), np.float32)
        self._used: Samples = self._plain

    def mix(self, audio: Samples) -> Samples:
        """`audio` is [samples, channels], in windows from the start of the recording."""
        if audio.shape[1] == 1:
            return audio[:, 0].copy()
        products = _products(audio)
        if self._used is self._plain and self._is_plain(products):
            return np.asarray(audio @ self._plain, np.float32)
        mixed = np.empty(len(audio), np.float32)
        for number, start in enumerate(range(0, len(audio), WINDOW)):
            mixed[start : start + WINDOW] = self._mix(audio[start : start + WINDOW], products[number])
        return mixed

    def _is_plain(self, products: Samples) -> bool:
        """Whether no window needs other weights than those of the layout. Nearly all audio is like that."""
        powers = np.diagonal(products, axis1=1, axis2=2)
        counted = powers * (self._weights > 0)
        loudest = counted.argmax(axis=1)
        windows = np.arange(len(products))
        most = counted[windows, loudest]
        scale = np.sqrt(np.maximum(powers * most[:, None], SILENT * SILENT))
        likeness = np.where(powers > SILENT, products[windows, loudest] / scale, 1.0)
        mixed = np.einsum("c,wcd,d->w", self._plain, products, self._plain)
        fine = (likeness.min(axis=1) >= INVERTED) & (mixed >= LEAST * most)
        quiet = powers.max(axis=1) <= SILENT
        return bool(np.all(fine & (most > SILENT) | quiet))

    def _mix(self, window: Samples, products: Samples) -> Samples:
        earlier, self._used = self._used, self._choose(products)
        mixed: Samples = window @ self._used
        if earlier is not self._used:
            ramp = np.linspace(1, 0, RAMP, dtype=np.float32)[: len(window)]
            mixed[:RAMP] += (window[:RAMP] @ (earlier - self._used)) * ramp
        return mixed

    def _choose(self, products: Samples) -> Samples:
        """The weights for a window."""
        powers = np.diagonal(products)
        weights = self._weights if np.any(powers[self._weights > 0] > SILENT) else np.ones_like(self._weights)
        counted = powers * (weights > 0)
        loudest = int(np.argmax(counted))
        if counted[loudest] <= SILENT:
            return self._used
        self._signs = self._aligned(products, loudest)
        used: Samples = weights * self._signs
        used /= np.abs(used).sum()
        power = float(used @ products @ used)
        if power < LEAST * counted[loudest]:
            used *= min(float(np.sqrt(LEAST * counted[loudest] / max(power, SILENT))), float(len(used)))
        return self._plain if np.array_equal(used, self._plain) else used

    def _aligned(self, products: Samples, loudest: int) -> Samples:
        """The signs under which the channels add up. The loudest one keeps its sign, and so do silent ones."""
        powers = np.diagonal(products)
        scale = np.sqrt(np.maximum(powers * powers[loudest], SILENT * SILENT))
        likeness = products[loudest] / scale * self._signs * self._signs[loudest]
        turned = (likeness < INVERTED) & (powers > SILENT)
        turned[loudest] = False
        signs: Samples = np.where(turned, -self._signs, self._signs)
        return signs


def _products(audio: Samples) -> Samples:
    """The mean product of each two channels in each window, [windows, channels, channels]."""
    whole = len(audio) // WINDOW * WINDOW
    windows = audio[:whole].reshape(-1, WINDOW, audio.shape[1])
    products = [np.matmul(windows.transpose(0, 2, 1), windows) / WINDOW]
    if rest := len(audio) - whole:
        products.append((audio[whole:].T @ audio[whole:])[None] / rest)
    return np.concatenate(products)


def _weights(names: tuple[str, ...]) -> Samples:
    if all(name in ("NONE", "") for name in names) or len(names) <= 2:
        return np.ones(len(names), np.float32)
    weights = [0.0 if name in LOW_FREQUENCY else WEIGHTS.get(name, SURROUND) for name in names]
    return np.array(weights if any(weights) else [1.0] * len(names), np.float32)
