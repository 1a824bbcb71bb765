"""Decoded frames of any kind to 16 kHz mono."""

from __future__ import annotations

from collections.abc import Iterator

import av
import numpy as np
from av.error import FFmpegError
from numpy.typing import NDArray

from scrivano.domain.chunk import SAMPLE_RATE
from scrivano.domain.errors import MediaError
from scrivano.media.downmix import MakeMixdown, Mixdown
from scrivano.media.source import ADVICE
from scrivano.media.tempo import Tempo

__all__ = ["Mixer"]

# Samples a piece that the resampler returns: with a size there is one Python object a piece, not one a frame.
PIECE = 1 << 15


class Mixer:
    """The kind of the frames, and their speed, may change in the middle."""

    def __init__(self, mixdown: MakeMixdown) -> None:
        self._make_mixdown = mixdown
        self._resampler: av.AudioResampler | None = None
        self._kind: tuple[str, str, int, float] | None = None
        self._mixdown: Mixdown | None = None
        # None: the audio keeps its speed.
        self._tempo: Tempo | None = None
        self._names: tuple[str, ...] = ()

    def continues(self, frame: av.AudioFrame, speed: float) -> bool:
        """Whether the frame needs no new resampler, for which the one in use must be flushed."""
        return self._kind == _kind(frame, speed)

    def mix(self, frame: av.AudioFrame, speed: float) -> Iterator[NDArray[np.float32]]:
        """`speed` above 1: the frame is played faster than its sample rate says. Raises `MediaError`."""
        if self._resampler is None:
            self._kind = _kind(frame, speed)
            self._resampler = av.AudioResampler("flt", frame.layout, SAMPLE_RATE, frame_size=PIECE)
            names = tuple(channel.name for channel in frame.layout.channels)
            if names != self._names or self._mixdown is None:
                self._names, self._mixdown = names, self._make_mixdown(names)
            self._tempo = None if speed == 1.0 else Tempo(speed)
        yield from self._timed(frame)

    def flush(self) -> Iterator[NDArray[np.float32]]:
        """The rest that the resampler holds. The next frame starts a new resampler."""
        if self._resampler is not None:
            yield from self._timed(None)
        if self._tempo is not None:
            yield from self._tempo.flush()
        self._resampler = self._kind = self._tempo = None

    def _timed(self, frame: av.AudioFrame | None) -> Iterator[NDArray[np.float32]]:
        for audio in self._resample(frame):
            if self._tempo is None:
                yield audio
            else:
                yield from self._tempo.change(audio)

    def _resample(self, frame: av.AudioFrame | None) -> Iterator[NDArray[np.float32]]:
        assert self._resampler is not None
        assert self._mixdown is not None
        try:
            pieces = self._resampler.resample(frame)
        except MemoryError:
            raise
        except (FFmpegError, ValueError) as error:
            kind = ", ".join(str(part) for part in (self._kind or ())[:3])
            raise MediaError("not_media", f"this kind of sound cannot be mixed to mono ({kind}); {ADVICE}") from error
        channels = len(self._names)
        for piece in pieces:
            audio = np.frombuffer(memoryview(piece.planes[0]), np.float32, count=piece.samples * channels)
            if not np.isfinite(audio.sum()):  # one of them would spoil the weights of all channels for good
                audio = np.nan_to_num(audio, nan=0.0, posinf=0.0, neginf=0.0)
            yield self._mixdown.mix(audio.reshape(-1, channels))


def _kind(frame: av.AudioFrame, speed: float) -> tuple[str, str, int, float]:
    return frame.format.name, frame.layout.name, frame.sample_rate, speed
