"""Recordings for tests: the shipped ones, and files of every format made from them with PyAV."""

from __future__ import annotations

import json
import subprocess
import sys
import wave
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
import pytest
from numpy.typing import NDArray

import scrivano
from scrivano.domain.chunk import SAMPLE_RATE, side_path
from scrivano.domain.errors import MediaError
from scrivano.domain.recording import ChannelUse
from scrivano.media.child import prepare
from scrivano.media.silero_vad import SileroVad, SpeechDetector
from scrivano.processes.messages import MediaMessage, Prepare, encoder

RECORDINGS = Path(__file__).parent / "data" / "recordings"

Audio = NDArray[np.int16]


def write_wav(path: Path, channels: Sequence[Audio]) -> Path:
    """A WAV file without a channel mask."""
    length = max(map(len, channels))
    with wave.open(str(path), "wb") as file:
        file.setnchannels(len(channels))
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(np.stack([np.pad(one, (0, length - len(one))) for one in channels], axis=1).tobytes())
    return path


@dataclass(frozen=True, slots=True)
class Spoken:
    """A shipped recording. `sentences` are (start, end) in seconds."""

    path: Path
    sentences: tuple[tuple[float, float], ...]


def spoken(name: str) -> Spoken:
    """A recording by its file name without suffix."""
    return next(recording for recording in recordings() if recording.path.stem == name)


def recordings() -> list[Spoken]:
    catalog = json.loads((RECORDINGS / "recordings.json").read_text())
    return [
        Spoken(RECORDINGS / entry["file"], tuple((one["start"], one["end"]) for one in entry["sentences"]))
        for entry in catalog
    ]


def samples(path: Path) -> Audio:
    """A file's audio as 16 kHz mono, decoded with PyAV alone."""
    resampler = av.AudioResampler("s16", "mono", SAMPLE_RATE)
    with av.open(str(path)) as container:
        frames = [out for frame in container.decode(audio=0) for out in resampler.resample(frame)]
        parts = [frame.to_ndarray()[0] for frame in [*frames, *resampler.resample(None)] if frame]
    return np.concatenate(parts)


def repeated(path: Path, *, seconds: int) -> Path:
    """The bundled recording, repeated, in the format of the path's suffix."""
    once = samples(Path(scrivano.__file__).parent / "nano" / "recording.flac")
    return write(path, np.resize(once, seconds * SAMPLE_RATE))


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """How to write a file.

    `options` of the container. `late_s`: the audio starts so long after the picture. `gap`: after so many seconds, so
    many without audio.
    """

    codec: str = "pcm_s16le"
    rate: int = SAMPLE_RATE
    layout: str = "mono"
    bit_rate: int | None = None
    picture: bool = False
    picture_codec: str = "mpeg4"
    cover: bool = False
    late_s: float = 0.0
    gap: tuple[float, float] | None = None
    tags: Mapping[str, str] | None = None
    options: Mapping[str, str] | None = None


# Every supported format, by suffix.
KINDS = {
    "wav": Kind(),
    "float.wav": Kind(codec="pcm_f32le", rate=48000, layout="stereo"),
    "w64": Kind(),
    "au": Kind(codec="pcm_mulaw", rate=8000),
    "aiff": Kind(codec="pcm_s16be"),
    "caf": Kind(codec="alac", rate=44100, layout="stereo"),
    "mp3": Kind(codec="libmp3lame", rate=44100, layout="stereo"),
    "cover.mp3": Kind(codec="libmp3lame", cover=True),
    "m4a": Kind(codec="aac", rate=44100, layout="stereo"),
    "aac": Kind(codec="aac"),
    "3gp": Kind(codec="aac"),
    "opus": Kind(codec="libopus", rate=48000),
    "oga": Kind(codec="flac"),
    "flac": Kind(codec="flac", rate=96000),
    "webm": Kind(codec="libopus", rate=48000),
    "mkv": Kind(codec="ac3", rate=48000, layout="5.1", picture=True),
    "mp4": Kind(codec="aac", rate=48000, layout="5.1", picture=True),
    "mov": Kind(picture=True),
    "avi": Kind(codec="libmp3lame", rate=44100, picture=True),
    "flv": Kind(codec="aac", rate=44100, layout="stereo"),
    "ts": Kind(codec="mp2", rate=48000, picture=True),
    "wma": Kind(codec="wmav2", rate=44100, bit_rate=64_000),
    "wv": Kind(codec="wavpack", rate=44100),
    "tta": Kind(codec="tta", rate=44100),
    "eac3": Kind(codec="eac3", rate=48000),
    "amr": Kind(codec="libopencore_amrnb", rate=8000),
}


def write(path: Path, audio: Audio | None, kind: Kind | None = None, *, picture_s: float = 0.0) -> Path:
    """Write 16 kHz mono `audio` (None: no audio stream) in the container format of the suffix.

    The picture is as long as the sound, or longer: `picture_s`.
    """
    kind = kind or Kind()
    with av.open(str(path), "w", container_options=dict(kind.options or {})) as container:
        container.metadata.update(kind.tags or {})
        picture = _add_picture(container, kind) if kind.picture or kind.cover else None
        sound = _add_sound(container, kind) if audio is not None else None
        seconds = max(picture_s, kind.late_s + (1.0 if audio is None else len(audio) / SAMPLE_RATE))
        if picture is not None:
            _mux_picture(container, picture, 1 if kind.cover else round(seconds * 5))
        if sound is not None and audio is not None:
            _mux_sound(container, sound, audio, kind)
    return path


def _add_picture(container: av.container.OutputContainer, kind: Kind) -> av.VideoStream:
    stream = cast(av.VideoStream, container.add_stream("mjpeg" if kind.cover else kind.picture_codec, rate=5))
    stream.width, stream.height = 64, 48
    stream.pix_fmt = "yuvj420p" if kind.cover else "yuv420p"
    if kind.cover:
        stream.disposition = av.stream.Disposition.attached_pic
    return stream


def _add_sound(container: av.container.OutputContainer, kind: Kind) -> av.AudioStream:
    stream = cast(av.AudioStream, container.add_stream(kind.codec, rate=kind.rate))
    stream.codec_context.layout = kind.layout
    if kind.bit_rate is not None:
        stream.codec_context.bit_rate = kind.bit_rate
    return stream


def _mux_picture(container: av.container.OutputContainer, stream: av.VideoStream, count: int) -> None:
    for number in range(count):
        frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), number % 200, np.uint8))
        frame.pts, frame.time_base = number, Fraction(1, 5)
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def _mux_sound(container: av.container.OutputContainer, stream: av.AudioStream, audio: Audio, kind: Kind) -> None:
    context = stream.codec_context
    resampler = av.AudioResampler(context.format, context.layout, kind.rate, frame_size=context.frame_size or 1024)
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(audio[None]), "s16", "mono")
    frame.sample_rate = SAMPLE_RATE
    at = 0
    for out in [*resampler.resample(frame), *resampler.resample(None)]:
        out.pts, out.time_base = at + _shift(at, kind), Fraction(1, kind.rate)
        at += out.samples
        container.mux(stream.encode(out))
    container.mux(stream.encode(None))


def _shift(at: int, kind: Kind) -> int:
    after, gap = kind.gap or (0.0, 0.0)
    return round((kind.late_s + (gap if at / kind.rate >= after else 0.0)) * kind.rate)


def write_long_silence(path: Path, seconds: int) -> Path:
    """A WAV file of digital silence that takes no disk space (a sparse file)."""
    size = seconds * SAMPLE_RATE * 2
    sizes = [number.to_bytes(4, "little") for number in (36 + size, 16, SAMPLE_RATE, 2 * SAMPLE_RATE, size)]
    head = (
        b"RIFF" + sizes[0] + b"WAVEfmt " + sizes[1] + b"\1\0\1\0" + sizes[2] + sizes[3] + b"\2\0\x10\0data" + sizes[4]
    )
    with path.open("wb") as file:
        file.write(head)
        file.truncate(len(head) + size)
    return path


class Prepared:
    """The messages and the audio of one preparation."""

    def __init__(self, sent: list[Mapping[str, Any]], target: Path) -> None:
        self.sent = sent
        self.target = target

    @property
    def pieces(self) -> list[list[int]]:
        return [piece for body in self.sent if body["type"] == "chunk" for piece in body["pieces"]]

    @property
    def about(self) -> Mapping[str, Any]:
        return next(body for body in self.sent if body["type"] == "about")

    @property
    def warnings(self) -> list[str]:
        """Their codes."""
        return [warning["code"] for warning in self.about["warnings"]]

    @property
    def end(self) -> Mapping[str, Any]:
        return self.sent[-1]

    @property
    def audio(self) -> Audio:
        return self.side(0)

    def side(self, number: int) -> Audio:
        return np.fromfile(side_path(str(self.target), number), "<i2")

    def pieces_of(self, side: int | None) -> list[list[int]]:
        chunks = [body for body in self.sent if body["type"] == "chunk" and body["side"] == side]
        return [piece for body in chunks for piece in body["pieces"]]


def prepared(
    source: Path,
    *,
    max_audio_secs: float = 86400,
    detector: SpeechDetector | None = None,
    ending: str = "",
    audio_track: str | None = None,
    language: str | None = None,
    vad: bool = True,
    channels: ChannelUse = ChannelUse.MIX,
) -> Prepared:
    """Run the whole preparation in this process, without its limits."""
    sent: list[Mapping[str, Any]] = []
    target = source.with_name("prepared.s16")
    encode = encoder(MediaMessage)
    request = Prepare(
        source=str(source),
        target=str(target),
        max_audio_s=max_audio_secs,
        ending=ending,
        audio_track=audio_track,
        language=language,
        vad=vad,
        channels=channels,
    )
    prepare(request, detector or SileroVad(), lambda message: sent.append(json.loads(encode(message))))
    return Prepared(sent, target)


def refused(source: Path, *, max_audio_secs: float = 86400) -> MediaError:
    with pytest.raises(MediaError) as caught:
        prepared(source, max_audio_secs=max_audio_secs)
    assert str(source.parent) not in str(caught.value)
    return caught.value


class MediaChild:
    """The real media process and its pipes."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process

    def request(self, source: Path, target: Path, **limits: float | None) -> None:
        body = {"source": str(source), "target": str(target), "max_audio_s": 86400, **limits}
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(body).encode() + b"\n")
        self.process.stdin.flush()

    def next(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        return cast(dict[str, Any], json.loads(self.process.stdout.readline()))

    def rest(self) -> list[dict[str, Any]]:
        """All messages until the process ends."""
        assert self.process.stdout is not None
        return [json.loads(line) for line in self.process.stdout]


@contextmanager
def media_child() -> Iterator[MediaChild]:
    """A media process that waits for its request."""
    process = subprocess.Popen(
        [sys.executable, "-m", "scrivano.media.child"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    child = MediaChild(process)
    try:
        yield child
    finally:
        process.kill()
        process.communicate()


def covered(start: float, end: float, pieces: Sequence[Sequence[int]]) -> bool:
    """Returns whether the pieces together contain all of `start` to `end` (seconds)."""
    first, last = round(start * SAMPLE_RATE), round(end * SAMPLE_RATE)
    return sum(max(0, min(b, last) - max(a, first)) for a, b in pieces) == last - first
