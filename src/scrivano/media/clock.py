"""Where each decoded frame belongs on the file's clock. Pure.

Containers promise when a frame is heard. Recorders, converters and networks bend that: they leave gaps, repeat a few
milliseconds with every segment, number samples at another speed than they are played at, or jump by a day.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median

__all__ = ["Clock", "ClockOptions", "Stretch"]

# Differences up to this are rounding of time stamps and delays of decoders. The audio just goes on.
TOLERANCE_S = 0.03
# A frame that comes later than this after the end of the one before leaves a gap.
GAP_S = 0.06
# A frame that comes this early, and this part of its own length early, repeats what was heard before it.
OVERLAP_S = 0.03
OVERLAP_PART = 0.35
# Gaps from here on are told: sound is missing.
NOTICED_GAP_S = 0.5
# A step back by more than this is no overlap: the clock was set anew.
MAX_OVERLAP_S = 3.0
# What may be done to the speed of audio whose clock runs at another speed than its samples.
MIN_SPEED, MAX_SPEED = 0.5, 2.0
# A speed is kept while it misses the clock by no more than this: each change of it costs a seam.
STEADY_S = 0.01
# A stretch of audio that is long enough to measure its speed; frames are placed in groups of this length.
GROUP_S = 2.0
MIN_MEASURED_S = 0.5
# A step in the clock counts if so many frames on both sides of it agree: a late network packet is not one.
NEIGHBOURS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockOptions:
    """`origin`: the start of the file on the container's clock. `end`: file time that nothing may lead beyond.

    `claimed`: seconds that the container claims, where that is known independently of the time stamps. `max_gap`: a
    longer gap must end within `claimed`. `steady` False: only the first time stamp is believed; None: not even that.
    """

    origin: float = 0.0
    end: float = 86_400.0
    claimed: float | None = None
    max_gap: float = 3600.0
    steady: bool | None = True


@dataclass(frozen=True, slots=True)
class Stretch:
    """The next `frames` frames, to be heard from `start` (file time).

    `speed` above 1: faster than their sample rate says. `step`: `start` is not where the audio before them ends.
    """

    frames: int
    start: float
    speed: float = 1.0
    step: bool = False


@dataclass(frozen=True, slots=True)
class _Frame:
    time: float
    seconds: float

    @property
    def end(self) -> float:
        return self.time + self.seconds


class Clock:
    """Takes the time stamp and the length of every frame, and says where the frames belong."""

    def __init__(self, options: ClockOptions) -> None:
        self._options = options
        self._origin = options.origin
        self._first: float | None = None
        # The frames that are not placed yet, and their length; the frames before them.
        self._waiting: list[_Frame] = []
        self._waiting_s = 0.0
        self._before: deque[_Frame] = deque(maxlen=NEIGHBOURS)
        self._last_end: float | None = None
        self._last_speed = 1.0
        # File time up to which audio is placed.
        self.position = 0.0
        # File times at which the clock jumped, and the jump was not followed.
        self.jumps: list[float] = []
        # Gaps within the recording: file time and length.
        self.gaps: list[tuple[float, float]] = []

    def push(self, time: float | None, seconds: float) -> list[Stretch]:
        """Add a frame. `time`: seconds on the container's clock. Returns what became certain, in order."""
        if time is None or not self._believes:
            time = self._origin if self._last_end is None else self._last_end
        frame = _Frame(time, seconds)
        self._last_end = frame.end
        self._waiting.append(frame)
        self._waiting_s += seconds
        if self._waiting_s < GROUP_S or len(self._waiting) <= NEIGHBOURS:
            return []
        return list(self._place(len(self._waiting) - NEIGHBOURS))

    def finish(self) -> list[Stretch]:
        """No more frames follow."""
        return list(self._place(len(self._waiting)))

    @property
    def _believes(self) -> bool:
        steady = self._options.steady
        return bool(steady) or (steady is False and self._last_end is None)

    def _place(self, count: int) -> Iterator[Stretch]:
        """Place the first `count` waiting frames."""
        start = 0
        for end in [*(n for n in range(1, count) if self._is_step(n)), count]:
            if end > start:
                yield self._stretch(self._waiting[start:end], step=self._is_step(start))
            start = end
        self._before.extend(self._waiting[:count])
        self._waiting = self._waiting[count:]
        self._waiting_s = sum(frame.seconds for frame in self._waiting)

    def _is_step(self, index: int) -> bool:
        """Whether the clock makes a step in front of a waiting frame. The first frame of all is one."""
        before = self._waiting[index - 1] if index else self._before[-1] if self._before else None
        if before is None:
            return True
        frame = self._waiting[index]
        if not _breaks(frame.time - before.end, frame.seconds):
            return False
        earlier = [*self._before, *self._waiting[:index]][-NEIGHBOURS:]
        return _breaks(_agreed_step(earlier, self._waiting[index : index + NEIGHBOURS]), frame.seconds)

    def _stretch(self, frames: Sequence[_Frame], *, step: bool) -> Stretch:
        if self._first is None:
            self._first = frames[0].time
        at = self._step(frames[0]) if step else None
        start = self.position if at is None else at
        nominal = sum(frame.seconds for frame in frames)
        speed = self._speed(nominal, frames[-1].end - self._origin - start)
        self.position = start + nominal / speed
        return Stretch(len(frames), start, speed, step=at is not None)

    def _step(self, frame: _Frame) -> float | None:
        """The file time at which to go on. None: where the audio is."""
        at = frame.time - self._origin
        gap = at - self.position
        if abs(gap) <= TOLERANCE_S:
            return None
        if self._is_plausible(frame, at, gap):
            if self.position and gap >= NOTICED_GAP_S:
                self.gaps.append((self.position, gap))
            return at
        if abs(gap) > MAX_OVERLAP_S and self.position:
            self.jumps.append(self.position)
        self._origin += gap
        return None

    def _is_plausible(self, frame: _Frame, at: float, gap: float) -> bool:
        if gap < 0:
            assert self._first is not None
            # A clock that starts again: two recordings were joined.
            restarts = frame.time <= self._first + GAP_S
            return gap >= -MAX_OVERLAP_S and not restarts and at >= 0
        claimed = self._options.claimed
        return at <= self._options.end and (gap <= self._options.max_gap or (claimed is not None and at <= claimed + 1))

    def _speed(self, nominal: float, clock: float) -> float:
        """The speed at which `nominal` seconds of audio end on time. `clock`: what the clock has for them."""
        measurable = nominal >= MIN_MEASURED_S and nominal / MAX_SPEED <= clock <= nominal / MIN_SPEED
        if not measurable or abs(nominal - clock) <= TOLERANCE_S:
            self._last_speed = 1.0
        elif abs(nominal / self._last_speed - clock) > STEADY_S:
            self._last_speed = nominal / clock
        return self._last_speed


def _breaks(step: float, seconds: float) -> bool:
    return step > GAP_S or step < -max(OVERLAP_S, OVERLAP_PART * seconds)


def _agreed_step(earlier: Sequence[_Frame], later: Sequence[_Frame]) -> float:
    """The step between two rows of frames, on which most frames of both rows agree."""
    before: list[float] = []
    rest = 0.0
    for frame in reversed(earlier):
        before.append(frame.end + rest)
        rest += frame.seconds
    after: list[float] = []
    rest = 0.0
    for frame in later:
        after.append(frame.time - rest)
        rest += frame.seconds
    return median(after) - median(before)
