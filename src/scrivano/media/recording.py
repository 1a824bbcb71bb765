"""An untrusted recording, decoded to 16 kHz mono.

FFmpeg may open only the file itself: the protocols and the formats are whitelisted. Without the whitelists, a playlist
of 37 bytes makes FFmpeg read other local files or call addresses.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import av
import numpy as np
from av.audio import AudioStream
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Discard
from numpy.typing import NDArray

from scrivano.domain.chunk import SAMPLE_RATE
from scrivano.domain.errors import MediaError
from scrivano.media.chunking import WINDOW

# FFmpeg's demuxers of recordings (`mov` is MP4, M4A and 3GP too; `matroska` WebM; `asf` WMA; `wav` RF64). None of them
# opens another file or address. Demuxers that do are left out: concat, hls, dash, sdp, rtsp, image2, imf.
FORMATS = (
    "aac,ac3,aiff,amr,ape,asf,au,avi,caf,dsf,dss,dts,dtshd,eac3,flac,flv,loas,matroska,mlp,mov,mp3,mpc,mpc8,mpeg,"
    "mpegts,mxf,nistsphere,ogg,oma,qcp,rm,shn,tak,truehd,tta,voc,w64,wav,wv"
)

# Samples per block (2 s): what the speech detector processes at once. A constant, because the same file must give the
# same chunks on every run.
BLOCK = 64 * WINDOW

# A recording that starts later than this after its container's clock gets silence at the start.
LEADING_S = 0.1
# Shorter gaps in the timestamps are jitter: containers round to milliseconds, decoders have a start-up delay.
GAP_S = 0.5

# After this many read errors in a row, without a packet between them, a damaged file counts as ended.
MAX_FAILURES = 32

ADVICE = "submit a WAV, MP3, M4A, FLAC, OGG, MP4 or MKV file"

logger = logging.getLogger(__name__)


class Recording:
    """An open file and its best audio stream (`container.streams.best`: FFmpeg's choice)."""

    def __init__(self, container: InputContainer, stream: AudioStream, max_audio_s: float) -> None:
        self._container = container
        self._stream = stream
        self._timeline = _Timeline(
            origin=(container.start_time or 0) / av.time_base,
            end=max_audio_s if self.duration is None else self.duration + 1.0,
        )
        self._damaged = 0

    @property
    def duration(self) -> float | None:
        """Seconds, according to the container, which may be wrong. None: the container does not say."""
        claimed = self._container.duration
        return claimed / av.time_base if claimed is not None and claimed > 0 else None

    @property
    def format(self) -> str:
        """FFmpeg's name of the container."""
        return self._container.format.name

    def blocks(self) -> Iterator[NDArray[np.int16]]:
        """16 kHz mono audio in order, in blocks of `BLOCK` samples; the last block may be shorter.

        Sample 0 is the start of the file's clock. Damaged packets are skipped.
        Raises `MediaError` if the file contains only damaged packets, or sound that cannot be mixed to mono.
        """
        return _blocks(self._audio())

    def _audio(self) -> Iterator[NDArray[np.int16]]:
        mixer = _Mixer()
        for frame in self._frames():
            silence_s = self._timeline.silence_before(frame)
            if silence_s > 0:
                yield from mixer.flush()
                yield from _zeros(round(silence_s * SAMPLE_RATE))
            yield from mixer.mix(frame)
        yield from mixer.flush()
        if self._damaged:
            self._report_damage()

    def _frames(self) -> Iterator[av.AudioFrame]:
        for packet in self._packets():
            try:
                yield from self._stream.decode(packet)
            except MemoryError:
                raise
            except FFmpegError:
                self._damaged += 1

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
                self._damaged += 1
        yield None

    def _report_damage(self) -> None:
        if not self._timeline.position:
            raise MediaError("not_media", f"the sound in this file is damaged or copy-protected; {ADVICE}")
        logger.warning("skipped %d damaged packets", self._damaged)


class _Timeline:
    """The position of each frame on the file's clock, so that gaps in the recording become silence.

    `origin` and `end` are seconds on the container's clock. A gap that leads beyond `end`, or backwards, is a clock
    that jumped: the recording then continues at its current position.
    """

    def __init__(self, *, origin: float, end: float) -> None:
        self._origin = origin
        self._end = end
        self.position = 0.0

    def silence_before(self, frame: av.AudioFrame) -> float:
        """Seconds of silence between the previous frame and this one."""
        gap = 0.0 if frame.time is None else frame.time - self._origin - self.position
        shortest = GAP_S if self.position else LEADING_S
        silence = gap if shortest < gap <= self._end - self.position else 0.0
        if not silence and abs(gap) > GAP_S:
            self._origin += gap
        self.position += silence + frame.samples / frame.sample_rate
        return silence


class _Mixer:
    """Frames of any rate, layout and sample format → 16 kHz mono. The frames' kind may change in the middle."""

    def __init__(self) -> None:
        self._resampler: av.AudioResampler | None = None
        self._kind: tuple[str, str, int] | None = None

    def mix(self, frame: av.AudioFrame) -> Iterator[NDArray[np.int16]]:
        kind = (frame.format.name, frame.layout.name, frame.sample_rate)
        if kind != self._kind:
            yield from self.flush()
            # With a frame size there is one Python object per block, not one per frame: a third less time.
            self._resampler = av.AudioResampler("s16", "mono", SAMPLE_RATE, frame_size=BLOCK)
            self._kind = kind
        yield from self._resample(frame)

    def flush(self) -> Iterator[NDArray[np.int16]]:
        """The rest that the resampler holds. The next frame starts a new resampler."""
        yield from self._resample(None)
        self._resampler = self._kind = None

    def _resample(self, frame: av.AudioFrame | None) -> Iterator[NDArray[np.int16]]:
        if self._resampler is None:
            return
        try:
            mixed = self._resampler.resample(frame)
        except MemoryError:
            raise
        except (FFmpegError, ValueError) as error:
            kind = ", ".join(str(part) for part in self._kind or ())
            raise MediaError("not_media", f"this kind of sound cannot be mixed to mono ({kind}); {ADVICE}") from error
        for out in mixed:
            yield np.frombuffer(memoryview(out.planes[0]), np.int16, count=out.samples)


@contextmanager
def open_recording(source: str, max_audio_s: float) -> Iterator[Recording]:
    """Open an untrusted file. Raises `MediaError`: `not_media` or `no_audio`."""
    if os.stat(source).st_size == 0:
        raise MediaError("not_media", f"the file is empty; {ADVICE}")
    with _open(source) as container:
        stream = _best_audio(container)
        stream.codec_context.thread_count = 1
        for other in container.streams:
            if other.index != stream.index:
                other.discard = Discard.all
        yield Recording(container, stream, max_audio_s)


def _open(source: str) -> InputContainer:
    try:
        # FFmpeg never takes an absolute path for an address. Old tags are often not UTF-8.
        return av.open(
            os.path.abspath(source),
            container_options={"protocol_whitelist": "file", "format_whitelist": FORMATS},
            metadata_errors="replace",
        )
    except MemoryError:
        raise
    except (FFmpegError, ValueError) as error:
        raise _not_media() from error


def _best_audio(container: InputContainer) -> AudioStream:
    stream = container.streams.best("audio")
    if isinstance(stream, AudioStream) and stream.codec_context is not None:
        return stream
    if container.streams.audio or not len(container.streams):
        # Text or noise under an audio file's name can be opened: as a stream without rate, channels or known codec.
        raise _not_media()
    raise MediaError("no_audio", "the file has no audio stream; submit a file with sound")


def _not_media() -> MediaError:
    return MediaError("not_media", f"the file is not a recording, or it is incomplete; {ADVICE}")


def _blocks(audio: Iterable[NDArray[np.int16]]) -> Iterator[NDArray[np.int16]]:
    """The same audio in blocks of `BLOCK` samples; the last one may be shorter."""
    block = np.empty(BLOCK, np.int16)
    filled = 0
    for part in audio:
        while len(part):
            taken = part[: BLOCK - filled]
            block[filled : filled + len(taken)] = taken
            filled += len(taken)
            part = part[len(taken) :]
            if filled == BLOCK:
                yield block
                block, filled = np.empty(BLOCK, np.int16), 0
    if filled:
        yield block[:filled]


def _zeros(samples: int) -> Iterator[NDArray[np.int16]]:
    for start in range(0, samples, BLOCK):
        yield np.zeros(min(BLOCK, samples - start), np.int16)
