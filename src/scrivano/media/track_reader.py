"""One audio track of an open container, decoded to 16 kHz mono on the container's clock."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator

import av
import numpy as np
from av.audio import AudioStream
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Disposition
from numpy.typing import NDArray

from scrivano.domain.chunk import SAMPLE_RATE
from scrivano.media.clock import Clock, ClockOptions, Stretch
from scrivano.media.downmix import Downmix, MakeMixdown
from scrivano.media.mixer import Mixer

__all__ = ["TrackReader", "claimed_duration"]

# After this many read errors in a row, without a packet between them, a damaged file counts as ended.
MAX_FAILURES = 32

# Containers whose time stamps say when a frame is heard. Those of all others are counted from bytes or samples.
CLOCKED = frozenset({"matroska", "mov", "mpegts", "mpeg", "flv", "live_flv", "asf", "ogg", "rm", "mxf", "nut", "wtv"})
# Only the first time stamp is one: the rest is counted.
STARTING = frozenset({"avi"})
# Broadcast clocks start anywhere, and start anew where recordings were joined: longer gaps are no gaps.
BROADCAST = frozenset({"mpegts", "mpeg"})
BROADCAST_GAP_S = 600.0
LONGEST_GAP_S = 3600.0
# Containers whose head says how long they are.
CLAIMING = frozenset({"mov", "matroska", "wav", "w64", "aiff", "caf", "flac", "asf", "tta", "wv", "ape", "au", "flv"})
# Of them, those that say it of all tracks together. FFmpeg then has the same length for each track.
COMMON = frozenset({"matroska", "asf", "flv"})

# Packets of broadcasts have at most so much sound.
PACKET_S = 1.0

# Zeros that are yielded at once.
SILENCE = 1 << 15

Floats = NDArray[np.float32]


class TrackReader:
    """`before_s`: seconds of the recording before this container. `max_audio_s`: for all of the recording."""

    def __init__(
        self,
        container: InputContainer,
        stream: AudioStream,
        before_s: float,
        max_audio_s: float,
        mixdown: MakeMixdown = Downmix,
    ) -> None:
        self._container = container
        self._stream = stream
        self._mixer = Mixer(mixdown)
        self._before_s = before_s
        self._clock = Clock(_clock_options(container, max_audio_s - before_s))
        # 16 kHz samples so far, and how many of the next ones to leave out.
        self._written = self._surplus = 0
        self.start: float | None = None
        self.channels = 0
        self.sample_rate = 0
        # Packets that could not be read or decoded; recording seconds of the first.
        self.damaged = 0
        self.damaged_at = 0.0
        # Seconds that were decoded, and those before the last incomplete packet.
        self._decoded_s = 0.0
        self._incomplete_at = -math.inf

    @property
    def position(self) -> float:
        """Recording seconds so far."""
        return self._before_s + self._clock.position

    @property
    def cut_off(self) -> bool:
        """Whether the last packet of a broadcast is incomplete. A packet has several frames."""
        return self._decoded_s - self._incomplete_at < PACKET_S

    @property
    def jumps(self) -> list[float]:
        """Recording seconds at which the clock jumped, and the jump was ignored."""
        return [self._before_s + jump for jump in self._clock.jumps]

    @property
    def gaps(self) -> list[tuple[float, float]]:
        """Recording seconds, and length, of each gap in the clock."""
        return [(self._before_s + at, length) for at, length in self._clock.gaps]

    def parts(self) -> Iterator[Floats]:
        """The audio in order. Sample 0 is the start of the container's clock. Raises `MediaError`."""
        for part in self._stretches():
            left_out = min(self._surplus, len(part))
            self._surplus -= left_out
            self._written += len(part) - left_out
            yield part[left_out:]

    def _stretches(self) -> Iterator[Floats]:
        waiting: deque[av.AudioFrame] = deque()
        for frame in self._frames():
            waiting.append(frame)
            for stretch in self._clock.push(frame.time, frame.samples / frame.sample_rate):
                yield from self._stretch(stretch, waiting)
        for stretch in self._clock.finish():
            yield from self._stretch(stretch, waiting)
        yield from self._mixer.flush()

    def _stretch(self, stretch: Stretch, waiting: deque[av.AudioFrame]) -> Iterator[Floats]:
        at = stretch.start
        for _ in range(stretch.frames):
            frame = waiting.popleft()
            seconds = frame.samples / frame.sample_rate / stretch.speed
            if stretch.step or not self._mixer.continues(frame, stretch.speed):
                yield from self._mixer.flush()
                yield from self._align(round(at * SAMPLE_RATE))
                stretch = Stretch(stretch.frames, stretch.start, stretch.speed)
            self._note(frame, at)
            yield from self._mixer.mix(frame, stretch.speed)
            at += seconds

    def _align(self, position: int) -> Iterator[Floats]:
        """Go on at this sample: silence up to there, or the next audio loses what is there already."""
        while self._written < position:
            yield np.zeros(min(SILENCE, position - self._written), np.float32)
        self._surplus = self._written - position

    def _note(self, frame: av.AudioFrame, at: float) -> None:
        if self.start is None:
            self.start = self._before_s + at
            self.channels, self.sample_rate = frame.layout.nb_channels, frame.sample_rate

    # Frames ----------------------------------------------------------------------------------------------------

    def _frames(self) -> Iterator[av.AudioFrame]:
        # Other containers also mark a last packet that is shorter than announced.
        broadcast = _family(self._container) in BROADCAST
        for packet in self._packets():
            try:
                if broadcast and packet is not None and packet.is_corrupt:  # it may contain sound all the same
                    self._incomplete_at = self._decoded_s
                    self._count_damage()
                frames = self._stream.decode(packet)
            except MemoryError:
                raise
            except FFmpegError:
                self._count_damage()
                continue
            for frame in frames:
                if frame.samples and frame.sample_rate:
                    self._decoded_s += frame.samples / frame.sample_rate
                    yield frame

    def _packets(self) -> Iterator[av.Packet[AudioStream] | None]:
        """All packets of the stream, and finally an empty packet or None, which flushes the decoder."""
        failures = 0
        while failures < MAX_FAILURES:
            try:
                for packet in self._container.demux(self._stream):
                    failures = 0
                    yield packet
                return
            except MemoryError:
                raise
            except FFmpegError:
                # `demux` ends at a read error; called again, it continues behind the damage.
                failures += 1
                self._count_damage()
        yield None

    def _count_damage(self) -> None:
        if not self.damaged:
            self.damaged_at = self.position
        self.damaged += 1


def claimed_duration(container: InputContainer, stream: AudioStream, *, counted: bool) -> float | None:
    """Seconds that the container's head claims for a track; None: nothing that can be relied on.

    `counted`: an MP3 file says how many frames it has.
    """
    if _family(container) not in CLAIMING and not counted:
        return None
    common = _family(container) in COMMON
    if not common and stream.duration is not None and stream.time_base is not None and stream.duration > 0:
        return float(stream.duration * stream.time_base)
    pictures = [other for other in container.streams.video if not other.disposition & Disposition.attached_pic]
    if len(container.streams.audio) > 1 or pictures or not container.duration:
        return None
    # Matroska counts from 0, also where its time stamps start later.
    late = max(0, container.start_time or 0) if _family(container) == "matroska" else 0
    return (container.duration - late) / av.time_base


def _clock_options(container: InputContainer, end: float) -> ClockOptions:
    family = _family(container)
    claimed = container.duration / av.time_base if container.duration else None
    return ClockOptions(
        origin=(container.start_time or 0) / av.time_base,
        end=end,
        # FFmpeg finds the length of a broadcast from the same time stamps.
        claimed=None if family in BROADCAST else claimed,
        max_gap=BROADCAST_GAP_S if family in BROADCAST else LONGEST_GAP_S,
        steady=True if family in CLOCKED else False if family in STARTING else None,
    )


def _family(container: InputContainer) -> str:
    """`mov` of `mov,mp4,m4a,…`."""
    return container.format.name.split(",")[0]
