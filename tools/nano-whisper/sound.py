"""Log-mel as faster-whisper computes it, and what recordings suffer: gain, noise, narrow bands."""

import math
import random

import numpy as np
import torch
from faster_whisper.feature_extractor import FeatureExtractor
from torch import Tensor

from espeak import SAMPLE_RATE, Samples

HOP = 160
_FFT = 400
_NOISE_S = 40
_HUM_HZ = 50


class Sound:
    """Mel filters and forty seconds of six kinds of noise, made once."""

    def __init__(self, seed: int = 0) -> None:
        self._filters = torch.from_numpy(FeatureExtractor().mel_filters)
        self._window = torch.from_numpy(np.hanning(_FFT + 1)[:-1].astype("float32"))
        self._noises = _noises(seed)

    def noise(self, rng: random.Random, count: int) -> Samples:
        """At most forty seconds, of standard deviation 1."""
        bank = rng.choice(self._noises)
        first = rng.randrange(0, len(bank) - count) if len(bank) > count else 0
        return bank[first : first + count]

    def mel_power(self, samples: Samples) -> Tensor:
        """(80, frames), with the 160 zeros that faster-whisper appends."""
        spectrum = torch.stft(
            torch.from_numpy(np.pad(samples, (0, HOP))), _FFT, HOP, window=self._window,
            center=True, pad_mode="reflect", return_complex=True,
        )  # fmt: skip
        return self._filters @ (spectrum[:, :-1].abs() ** 2)

    def degrade(self, samples: Samples, rng: random.Random, share: float, snr_min: float) -> Samples:
        """A random gain, and noise in `share` of the calls, mostly from `snr_min` dB up."""
        loudest = np.abs(samples).max() + 1e-6
        samples = samples * (10 ** rng.uniform(-1.5, -0.02) / loudest)
        draw = rng.random()
        if draw < share:
            snr = rng.uniform(snr_min, 35) if draw < 0.6 * share else rng.uniform(30, 50)
            level = math.sqrt(float((samples**2).mean()) + 1e-12) * 10 ** (-snr / 20)
            samples = samples + self.noise(rng, len(samples)) * level
        return np.clip(samples, -1, 1).astype(np.float32)

    def log_mel(self, samples: Samples, frames: int, rng: random.Random, *, band: float = 0, spec: float = 0) -> Tensor:
        """(80, frames), padded as faster-whisper does (zeros as features) or as others (silence).

        `band` and `spec` are the shares of band-limited and of masked windows.
        """
        if rng.random() < 0.45:
            samples = np.pad(samples, (0, max(0, frames * HOP - len(samples))))
        power = self.mel_power(samples)[:, :frames]
        if rng.random() < band:
            power[rng.choice([45, 52, 58, 64, 70]) :] *= 1e-5
            power[: rng.randint(0, 4)] *= 1e-3
        features = _log_normalised(power, rng.uniform(0, 0.8) if rng.random() < 0.3 else 0.0)
        if rng.random() < spec:
            _mask(features, rng)
        return torch.nn.functional.pad(features, (0, frames - features.shape[1]))


def _log_normalised(power: Tensor, boost: float) -> Tensor:
    """Whisper's scaling; `boost` stands for a louder sound elsewhere in the recording."""
    logs = torch.clamp(power, min=1e-10).log10()
    logs = torch.maximum(logs, logs.max() + boost - 8.0)
    return (logs + 4.0) / 4.0


def _mask(features: Tensor, rng: random.Random) -> None:
    bands, frames = features.shape
    for _ in range(rng.randint(1, 2)):
        width = rng.randint(1, 8)
        first = rng.randint(0, bands - width)
        features[first : first + width] = features.mean()
    for _ in range(rng.randint(0, 3)):
        width = rng.randint(2, 10)
        first = rng.randint(0, max(1, frames - width))
        features[:, first : first + width] = features.mean()


def _noises(seed: int) -> tuple[Samples, ...]:
    """White, pink, brown and darker; mains hum; noise that swells."""
    generator = np.random.default_rng(seed)
    count = SAMPLE_RATE * _NOISE_S
    coloured = []
    for slope in (0.0, 0.5, 1.0, 1.6):
        spectrum = np.fft.rfft(generator.standard_normal(count))
        hertz = np.maximum(np.fft.rfftfreq(count, 1 / SAMPLE_RATE), 40)
        coloured.append(np.fft.irfft(spectrum * (100 / hertz) ** slope, count))
    time = np.arange(count) / SAMPLE_RATE
    pink = coloured[1] / coloured[1].std()
    hum = sum(np.sin(2 * np.pi * _HUM_HZ * k * time + k) / k for k in range(1, 8)) + 0.2 * pink
    swelling = pink * (1 + 0.8 * np.sin(2 * np.pi * 0.7 * time))
    return tuple((n / n.std()).astype(np.float32) for n in (*coloured, hum, swelling))
