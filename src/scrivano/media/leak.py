"""Whose voice is heard on a side of a call: what leaks over from the other side is silenced. Pure.

Both sides of a call hear both voices: through the phone's earpiece, an echo, a cable. The far voice is quieter there
than on its own side, so a side is silent wherever it is not louder than the leak of the others can be.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from scrivano.media.channels import QUIETEST_DB, levels

__all__ = ["silence_leaks"]

Samples = NDArray[np.float32]
Levels = NDArray[np.float64]
Flags = NDArray[np.bool_]

# Levels are measured over 16 ms.
FRAME = 256
# A side has a voice of its own where it is so much louder than the leak from the others.
MARGIN_DB = 5.0
# The leak that is assumed where it was not measured, and the bounds of a measured one. A louder leak cannot be told
# from a voice; a quieter one is not heard as speech.
UNKNOWN_LEAK_DB = -13.0
LOUDEST_LEAK_DB, QUIETEST_LEAK_DB = -11.0, -35.0
# An echo fades by 6 dB in 64 ms (a room's 0.6 s for 60 dB), and comes up to 80 ms late.
FADE_DB = 1.6
FADE_FRAMES = 12
LATE_FRAMES = 5
# Levels are compared as means over 7 frames (112 ms).
MEAN_FRAMES = 7
# Around its own voice (at least 48 ms, and louder than silence) a side keeps 96 ms, for soft consonants.
SHORTEST_FRAMES = 3
KEPT_FRAMES = 6
AUDIBLE_DB = -60.0
# Frames of the blocks before and behind that a decision depends on.
REACH = 32
# Samples of a fade.
RAMP = FRAME


def silence_leaks(
    blocks: Iterable[Sequence[Samples]], leak_db: Sequence[Sequence[float]] | None
) -> Iterator[list[Samples]]:
    """The same blocks, one array for each side, in which the sides hear only their own voices.

    All arrays of a block have one length; all blocks but the last have a whole number of frames. `leak_db`: as in
    `Picture`; None: not known.
    """
    gate: _Gate | None = None
    for block in blocks:
        if gate is None:
            gate = _Gate(len(block), leak_db)
        if (ready := gate.push(block)) is not None:
            yield ready
    if gate is not None and (ready := gate.finish()) is not None:
        yield ready


class _Gate:
    """One block waits until the start of the next is known."""

    def __init__(self, sides: int, leak_db: Sequence[Sequence[float]] | None) -> None:
        self._leaks = np.full((sides, sides), UNKNOWN_LEAK_DB)
        if leak_db is not None:
            known = np.array(leak_db)
            self._leaks = np.where(known < 0, np.clip(known, QUIETEST_LEAK_DB, LOUDEST_LEAK_DB), self._leaks)
        self._waiting: Sequence[Samples] | None = None
        self._levels = np.zeros((0, sides))
        self._before = np.full((REACH, sides), QUIETEST_DB)
        self._open = np.ones(sides, np.bool_)

    def push(self, block: Sequence[Samples]) -> list[Samples] | None:
        ahead = _levels(block)
        ready = None if self._waiting is None else self._silenced(self._waiting, ahead)
        self._waiting, self._levels = block, ahead
        return ready

    def finish(self) -> list[Samples] | None:
        return None if self._waiting is None else self._silenced(self._waiting, self._levels[:0])

    def _silenced(self, block: Sequence[Samples], ahead: Levels) -> list[Samples]:
        count, now = len(self._levels), np.concatenate([self._before, self._levels, ahead[:REACH]])
        own = self._own(now)[REACH : REACH + count]
        self._before = np.concatenate([self._before, self._levels])[-REACH:]
        silenced = [_faded(audio, own[:, side], bool(self._open[side])) for side, audio in enumerate(block)]
        self._open = own[-1] if count else self._open
        return silenced

    def _own(self, levels_db: Levels) -> Flags:
        """[frames, sides]: where each side has a voice of its own."""
        mean = _smoothed(levels_db)
        lasting = _lasting(mean)
        # [frames, from, to]; nothing leaks from a side to itself.
        leaks = np.where(np.eye(mean.shape[1], dtype=np.bool_), -np.inf, self._leaks)
        heard = (lasting[:, :, None] + leaks).max(axis=1)
        own = mean > heard + MARGIN_DB
        lasts = ~_within(~own, SHORTEST_FRAMES // 2)
        return np.asarray(own | _within(lasts & (mean > AUDIBLE_DB), KEPT_FRAMES + SHORTEST_FRAMES // 2))


def _levels(block: Sequence[Samples]) -> Levels:
    """[frames, sides]; the last frame may be shorter."""
    audio = np.stack(block, axis=1)
    missing = -len(audio) % FRAME
    return levels(np.pad(audio, ((0, missing), (0, 0))) if missing else audio, FRAME)


def _smoothed(levels_db: Levels) -> Levels:
    power = 10 ** (levels_db / 10)
    half = MEAN_FRAMES // 2
    padded = np.pad(power, ((half, half), (0, 0)), mode="edge")
    sums = np.cumsum(np.concatenate([np.zeros((1, power.shape[1])), padded]), axis=0)
    return np.asarray(10 * np.log10(np.maximum((sums[MEAN_FRAMES:] - sums[:-MEAN_FRAMES]) / MEAN_FRAMES, 1e-12)))


def _lasting(mean: Levels) -> Levels:
    """How loud a leak can still be: as loud as its source lately was, and then fading."""
    lasting = mean.copy()
    for late in range(1, LATE_FRAMES + FADE_FRAMES + 1):
        fade = FADE_DB * max(0, late - LATE_FRAMES)
        lasting[late:] = np.maximum(lasting[late:], mean[:-late] - fade)
    return lasting


def _within(flags: Flags, reach: int) -> Flags:
    """Where a flag is set at most `reach` frames away."""
    wide = flags.copy()
    for step in range(1, reach + 1):
        wide[step:] |= flags[:-step]
        wide[:-step] |= flags[step:]
    return wide


def _faded(audio: Samples, own: Flags, was_open: bool) -> Samples:
    """The audio where it is its own, silence elsewhere; each change takes one frame."""
    if own.all() and was_open:
        return audio
    gains = np.repeat(own.astype(np.float32), FRAME)[: len(audio)]
    before = np.concatenate([[was_open], own[:-1]])
    ramp = np.linspace(0, 1, RAMP, endpoint=False, dtype=np.float32)
    for frame in np.flatnonzero(own != before):
        part = gains[frame * FRAME : (frame + 1) * FRAME]
        part[:] = (ramp if own[frame] else 1 - ramp)[: len(part)]
    return np.asarray(audio * gains, np.float32)
