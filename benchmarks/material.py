"""Recordings for the measurements, made from the bundled one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.resources import as_file, files
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE = 16_000
BLOCK = SAMPLE_RATE * 60


def bundled_speech() -> NDArray[np.int16]:
    """The bundled recording, 16 kHz mono."""
    with as_file(files("scrivano") / "nano" / "recording.flac") as path, av.open(str(path)) as container:
        resampler = av.AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE)
        frames = [out for frame in container.decode(audio=0) for out in resampler.resample(frame)]
    return np.concatenate([frame.to_ndarray().reshape(-1) for frame in frames])


def speech(path: Path, seconds: float) -> Path:
    """The bundled recording, repeated, in the format of the file name's suffix."""
    once = bundled_speech()
    wanted = int(seconds * SAMPLE_RATE)
    return _encode(path, (once[: max(0, wanted - at)] for at in range(0, wanted, len(once))))


def clip(path: Path, seconds: float = 10.0) -> Path:
    """The first seconds of the bundled recording."""
    return _encode(path, iter([bundled_speech()[: int(seconds * SAMPLE_RATE)]]))


def silence(path: Path, seconds: float) -> Path:
    block = np.zeros(BLOCK, np.int16)
    return _encode(path, (block for _ in range(int(seconds) // 60)))


def _encode(path: Path, blocks: Iterator[NDArray[np.int16]]) -> Path:
    codec = {".wav": "pcm_s16le", ".mp3": "libmp3lame", ".flac": "flac"}[path.suffix]
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=SAMPLE_RATE, layout="mono")
        assert isinstance(stream, av.AudioStream)
        resampler = av.AudioResampler(format=stream.codec_context.format, layout="mono", rate=SAMPLE_RATE)
        for block in blocks:
            frame = av.AudioFrame.from_ndarray(block.reshape(1, -1), format="s16", layout="mono")
            frame.sample_rate = SAMPLE_RATE
            for part in resampler.resample(frame):
                container.mux(stream.encode(part))
        for part in resampler.resample(None):
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))
    return path


def clips(folder: Path, count: int, seconds: float = 10.0) -> list[Path]:
    """This many different parts of the bundled recording."""
    once = bundled_speech()
    length = int(seconds * SAMPLE_RATE)
    starts = [n * (len(once) - length) // max(1, count - 1) for n in range(count)]
    return [_encode(folder / f"clip-{n}.wav", iter([once[at : at + length]])) for n, at in enumerate(starts)]


def noise(path: Path, size_bytes: int) -> Path:
    """Random bytes: not a recording, and not compressible."""
    with path.open("wb") as file:
        for _ in range(size_bytes // 1_000_000):
            file.write(os.urandom(1_000_000))
    return path
