"""Held-out recordings made from the pool, with their text and times. A seed fixes them."""

import random
from dataclasses import dataclass

import numpy as np

from espeak import SAMPLE_RATE, Samples
from grammar import is_list
from pool import Clip, Pool
from sound import Sound
from windows import Placed, lay

LEVEL = 0.6


@dataclass(frozen=True, slots=True)
class Recording:
    """Samples at 16 kHz and the sentences in them."""

    samples: Samples
    language: str
    placed: tuple[Placed, ...]

    @property
    def text(self) -> str:
        return " ".join(place.clip.text for place in self.placed)

    @property
    def english(self) -> str:
        return " ".join(place.clip.english for place in self.placed)

    @property
    def seconds(self) -> float:
        return len(self.samples) / SAMPLE_RATE

    def words(self) -> list[tuple[str, float]]:
        """Each word and its start in seconds."""
        return [
            (word, place.start + start)
            for place in self.placed
            for word, (start, _) in zip(place.clip.text.split(), place.clip.words, strict=True)
        ]


def one_sentence(pool: Pool, rng: random.Random, language: str, lists: bool = False) -> Recording:
    while True:
        clip = rng.choice(pool.of[language])
        if not lists or is_list(clip.text):
            return _laid(pool, rng, language, [Placed(clip, rng.uniform(0, 0.3))], 0.4)


def sentences(
    pool: Pool,
    rng: random.Random,
    language: str,
    seconds: float,
    pause: tuple[float, float],
) -> Recording:
    """Sentences up to at most `seconds`, with pauses drawn evenly between these two."""
    clock, placed = rng.uniform(0, 0.3), list[Placed]()
    while True:
        clip = rng.choice(pool.of[language])
        if clock + clip.seconds + 0.05 > seconds:
            return _laid(pool, rng, language, placed, 0.05)
        placed.append(Placed(clip, clock))
        clock += clip.seconds + rng.uniform(*pause)


def _laid(pool: Pool, rng: random.Random, language: str, placed: list[Placed], tail: float) -> Recording:
    last = placed[-1]
    line = np.zeros(int((last.start + last.clip.seconds + tail) * SAMPLE_RATE), np.float32)
    for place in placed:
        lay(line, _at_random_level(pool, place.clip, rng), place.start)
    line *= np.float32(LEVEL / np.abs(line).max())
    return Recording(line, language, tuple(placed))


def _at_random_level(pool: Pool, clip: Clip, rng: random.Random) -> Samples:
    return np.asarray(pool.samples(clip) * 10 ** (rng.uniform(-2, 2) / 20), dtype=np.float32)


def noisy(recording: Recording, sound: Sound, rng: random.Random, snr_db: float) -> Recording:
    """For recordings of at most 40 s."""
    samples = recording.samples
    level = float(np.sqrt((samples**2).mean())) * 10 ** (-snr_db / 20)
    added = samples + sound.noise(rng, len(samples)) * np.float32(level)
    return Recording(np.clip(added, -1, 1), recording.language, recording.placed)


def without_speech(sound: Sound, rng: random.Random, number: int) -> Samples:
    """1 to 30 s: digital silence every fourth time, else noise at any level."""
    count = int(rng.uniform(1, 30) * SAMPLE_RATE)
    if number % 4 == 0:
        return np.zeros(count, np.float32)
    level = np.float32(10 ** rng.uniform(-3.5, -1))
    return np.asarray(np.clip(sound.noise(rng, count) * level, -1, 1), dtype=np.float32)
