"""What is heard at several places of an open file, channel by channel. It need not be exact, and never fails."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import av
import numpy as np
from av.audio import AudioStream
from av.container import InputContainer
from av.error import FFmpegError
from numpy.typing import NDArray

from scrivano.domain.chunk import SAMPLE_RATE

__all__ = ["excerpts"]

Samples = NDArray[np.float32]

# Packets without sound, after which a place is given up.
MOST_PACKETS = 2000


def excerpts(container: InputContainer, stream: AudioStream, places: int, seconds: float) -> list[Samples]:
    """[samples, channels] each, 16 kHz; all of the track if it is not longer than all excerpts, or does not say."""
    stream.codec_context.thread_count = 1
    duration = container.duration / av.time_base if container.duration else 0.0
    start = (container.start_time or 0) / av.time_base
    if duration <= places * seconds:
        return _excerpt(container, stream, places * seconds)
    found: list[Samples] = []
    for place in range(places):
        with suppress(FFmpegError, ValueError, OSError):
            container.seek(round((start + (duration - seconds) * place / max(1, places - 1)) * av.time_base))
            found += _excerpt(container, stream, seconds)
    return found


def _excerpt(container: InputContainer, stream: AudioStream, seconds: float) -> list[Samples]:
    """From where the container is. A list of one; empty if nothing can be decoded there."""
    parts: list[Samples] = []
    resampler: av.AudioResampler | None = None
    layout, wanted = "", round(seconds * SAMPLE_RATE)
    with suppress(FFmpegError, ValueError):
        for frame in _frames(container, stream):
            if resampler is None:
                layout = frame.layout.name
                resampler = av.AudioResampler("flt", frame.layout, SAMPLE_RATE)
            if frame.layout.name != layout:
                break
            channels = frame.layout.nb_channels
            for piece in resampler.resample(frame):
                audio = np.frombuffer(memoryview(piece.planes[0]), np.float32, count=piece.samples * channels)
                parts.append(np.nan_to_num(audio, posinf=0.0, neginf=0.0).reshape(-1, channels))
                wanted -= piece.samples
            if wanted <= 0:
                break
    return [np.concatenate(parts)] if parts else []


def _frames(container: InputContainer, stream: AudioStream) -> Iterator[av.AudioFrame]:
    silent = 0
    for packet in container.demux(stream):
        try:
            frames = stream.decode(packet)
        except FFmpegError:  # the first packets after a jump may lack what came before them
            frames = []
        silent = 0 if frames else silent + 1
        if silent > MOST_PACKETS:
            return
        yield from frames
