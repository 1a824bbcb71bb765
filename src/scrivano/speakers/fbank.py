"""Log-mel filter bank features as Kaldi computes them, which the voice network was trained on. Pure.

Formulas and defaults: Kaldi's `feat/feature-window.cc` (frames, pre-emphasis, Povey window) and
`feat/mel-computations.cc` (mel scale, triangles). torchaudio's `compliance.kaldi.fbank` has the same.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scrivano.domain.chunk import SAMPLE_RATE

__all__ = ["BINS", "FRAME", "FilterBank"]

Floats = NDArray[np.float32]

# Samples of a frame (25 ms) and between frames (10 ms).
FRAME = 400
SHIFT = 160
BINS = 80

_FFT = 512
_LOWEST_HZ = 20.0
_PRE_EMPHASIS = 0.97
# Povey's window is a Hann window to this power.
_POVEY = 0.85


class FilterBank:
    """Audio to features, [frames, `BINS`]: natural logarithms of the energy in each mel band."""

    def __init__(self) -> None:
        hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(FRAME) / (FRAME - 1))
        self._window: Floats = (hann**_POVEY).astype(np.float32)
        self._triangles: Floats = _triangles()

    def __call__(self, audio: Floats) -> Floats:
        """`audio` is 16 kHz mono in [-1, 1]. Less than one frame is padded with zeros; there is no dither."""
        if len(audio) < FRAME:
            audio = np.pad(audio, (0, FRAME - len(audio)))
        frames = np.lib.stride_tricks.sliding_window_view(audio, FRAME)[::SHIFT].astype(np.float32)
        frames -= frames.mean(axis=1, keepdims=True)
        # Kaldi takes the first sample of a frame as its own predecessor.
        before = np.concatenate([frames[:, :1], frames[:, :-1]], axis=1)
        spectrum = np.fft.rfft((frames - _PRE_EMPHASIS * before) * self._window, _FFT, axis=1)
        power = (spectrum.real**2 + spectrum.imag**2).astype(np.float32)
        features: Floats = np.log(np.maximum(power @ self._triangles, np.finfo(np.float32).eps))
        return features


def _mel(hertz: NDArray[np.float64] | float) -> NDArray[np.float64]:
    return 1127.0 * np.log1p(np.asarray(hertz, np.float64) / 700.0)


def _triangles() -> Floats:
    """The weight of each frequency in each band, [257, `BINS`]. Bands are equally wide in mel, and overlap by half."""
    edges = np.linspace(_mel(_LOWEST_HZ), _mel(SAMPLE_RATE / 2), BINS + 2)
    low, middle, high = edges[:-2], edges[1:-1], edges[2:]
    mel = _mel(np.arange(_FFT // 2) * SAMPLE_RATE / _FFT)[:, None]
    weights = np.minimum((mel - low) / (middle - low), (high - mel) / (high - middle)).clip(min=0)
    # Kaldi leaves out the Nyquist frequency.
    return np.pad(weights, ((0, 1), (0, 0))).astype(np.float32)
