"""What the channels of a recording are: one voice a side, the same sound twice, a room. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from scrivano.domain.chunk import SAMPLE_RATE

__all__ = ["QUIETEST_DB", "Content", "Picture", "levels", "picture"]

Samples = NDArray[np.float32]
Levels = NDArray[np.float64]

# Levels are measured over 0.1 s. Below this (dB of full scale) nothing is heard.
FRAME = SAMPLE_RATE // 10
QUIETEST_DB = -90.0

# Speech is this much louder than its pauses (95th against 10th percentile), and no voice on a side is quieter than the
# loudest side by this much.
DYNAMIC_DB = 9.0
FAINTEST_DB = 40.0

# Two channels whose normalized correlation reaches this, at some delay, are copies: nine tenths of their sound.
COPY = 0.9
# Delays are looked for at this rate, up to half a second.
RATE = 4000
LONGEST_DELAY_S = 0.5
# A copy that comes later than this is a delayed one: 2 ms is 0.7 m of air.
DELAYED_S = 0.002

# Frames are compared where one side is at most this much quieter than its own loudest parts. One voice a side: in most
# of them, one side is clearly louder than the other.
LOUD_DB = 25.0
# A side that hardly speaks is heard in this percentile of its frames; below, it may be the leak of the other side.
LOUDEST = 99
# Where a voice is not louder than its leak by this much, both sides speak.
LEAST_LEAK_DB = 3.0
CLEAR_DB = 8.0
MOSTLY = 0.6

# Below so many frames (1 s) that can be compared, nothing is concluded.
LEAST_FRAMES = 10


class Content(StrEnum):
    """What the channels of a recording are.

    `VOICES`: one voice, or one end of a line, each. `COPY`, `DELAYED_COPY`, `INVERTED_COPY`: all have the same sound.
    `ONE_SIDE`: the others are silent or hiss. `STEREO`: a room, music, or anything else.
    """

    VOICES = "voices"
    COPY = "copy"
    DELAYED_COPY = "delayed_copy"
    INVERTED_COPY = "inverted_copy"
    ONE_SIDE = "one_side"
    STEREO = "stereo"


@dataclass(frozen=True, slots=True)
class Picture:
    """`channels`: how many there are. `best`: the one to hear where the others add nothing.

    `gains_db`: for each channel, how much louder than `best` it is. `floor_db`: how loud the background of a channel is
    that has nothing else; None: it has. `leak_db`: [from, to], how loud the voice of one channel is heard in another,
    relative to its own (negative); 0: not known.
    """

    content: Content
    channels: int
    best: int
    gains_db: tuple[float, ...]
    floor_db: tuple[float | None, ...]
    leak_db: tuple[tuple[float, ...], ...]


def levels(audio: Samples, frame: int = FRAME) -> Levels:
    """[samples] or [samples, channels] → dB of full scale for each whole frame."""
    whole = audio[: len(audio) // frame * frame].astype(np.float64)
    power = np.square(whole).reshape(-1, frame, *audio.shape[1:]).mean(axis=1)
    return np.asarray(10 * np.log10(power + 10 ** (QUIETEST_DB / 10)))


def picture(excerpts: Sequence[Samples]) -> Picture | None:
    """`excerpts`: [samples, channels] each, 16 kHz, from several places of a recording. None: too little to tell."""
    framed = np.concatenate([levels(one) for one in excerpts]) if excerpts else np.zeros((0, 0))
    count = framed.shape[1] if framed.ndim == 2 else 0
    if count < 2 or len(framed) < LEAST_FRAMES:
        return None
    energy = 10 * np.log10(np.mean(10 ** (framed / 10), axis=0))
    loudest = int(energy.argmax())
    if energy[loudest] <= QUIETEST_DB + DYNAMIC_DB:
        return None
    faintest = float(np.percentile(framed[:, loudest], LOUDEST)) - FAINTEST_DB
    alive = [
        one
        for one in range(count)
        if _is_alive(framed[:, one], float(energy[one]), float(energy[loudest]))
        or _speaks_once(framed[:, one], faintest)
    ]
    best = max(alive, key=lambda one: energy[one], default=loudest)
    return Picture(
        content=_content(excerpts, framed, alive, best) if alive else Content.STEREO,
        channels=count,
        best=best,
        gains_db=tuple(round(float(energy[one] - energy[best]), 2) for one in range(count)),
        # The median: what is heard now and then must not count as background.
        floor_db=tuple(None if one in alive else float(np.median(framed[:, one])) for one in range(count)),
        leak_db=tuple(tuple(_leak(framed[:, one], framed[:, other]) for other in range(count)) for one in range(count)),
    )


def _is_alive(framed: Levels, energy: float, loudest: float) -> bool:
    """Whether a channel has more than silence or a steady noise."""
    spread = np.percentile(framed, 95) - np.percentile(framed, 10)
    return bool(spread > DYNAMIC_DB and energy > loudest - FAINTEST_DB)


def _speaks_once(framed: Levels, faintest: float) -> bool:
    """Whether a channel has some seconds of sound, however long it is silent: a sentence in an hour is one."""
    return bool(np.count_nonzero(framed > max(np.median(framed) + DYNAMIC_DB, faintest)) >= LEAST_FRAMES)


def _content(excerpts: Sequence[Samples], framed: Levels, alive: Sequence[int], best: int) -> Content:
    if len(alive) == 1:
        return Content.ONE_SIDE
    sound = np.concatenate([_slower(one) for one in excerpts])
    copies = [_likeness(sound[:, best], sound[:, other]) for other in alive if other != best]
    if all(abs(alike) >= COPY for alike, _ in copies):
        if any(alike < 0 for alike, _ in copies):
            return Content.INVERTED_COPY
        return Content.DELAYED_COPY if any(delay_s > DELAYED_S for _, delay_s in copies) else Content.COPY
    apart = all(_are_apart(framed[:, one], framed[:, other]) for one, other in combinations(alive, 2))
    return Content.VOICES if apart else Content.STEREO


def _are_apart(one: Levels, other: Levels) -> bool:
    """Whether mostly one of two channels is clearly louder, each measured against its own loud parts."""
    first, second = one - np.percentile(one, LOUDEST), other - np.percentile(other, LOUDEST)
    loud = np.maximum(first, second) > -LOUD_DB
    return bool(np.count_nonzero(loud) >= LEAST_FRAMES and np.mean(np.abs(first - second)[loud] > CLEAR_DB) > MOSTLY)


def _leak(source: Levels, heard_in: Levels) -> float:
    """How much quieter the other channel mostly is while the source is loud: the leak, or its own background."""
    loud = (source > np.percentile(source, LOUDEST) - LOUD_DB / 2) & (heard_in < source - LEAST_LEAK_DB)
    if np.count_nonzero(loud) < LEAST_FRAMES:
        return 0.0
    return round(float(np.median(heard_in[loud] - source[loud])), 2)


def _slower(audio: Samples) -> Samples:
    """At `RATE`: means of neighbours."""
    step = SAMPLE_RATE // RATE
    whole = audio[: len(audio) // step * step]
    return np.asarray(whole.reshape(-1, step, audio.shape[1]).mean(axis=1), np.float32)


def _likeness(one: Samples, other: Samples) -> tuple[float, float]:
    """The normalized correlation at the delay at which it is strongest (negative: upside down), and that delay in
    seconds, whichever comes first."""
    longest = round(LONGEST_DELAY_S * RATE)
    size = 1 << int(np.ceil(np.log2(len(one) + longest + 1)))
    product = np.fft.irfft(np.fft.rfft(one, size) * np.conj(np.fft.rfft(other, size)), size)
    near = np.concatenate([product[-longest:], product[: longest + 1]])
    scale = float(np.sqrt(np.square(one, dtype=np.float64).sum() * np.square(other, dtype=np.float64).sum()))
    at = int(np.abs(near).argmax())
    return float(near[at]) / max(scale, 1e-12), abs(at - longest) / RATE
