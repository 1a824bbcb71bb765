"""Any recording → 16 kHz mono, safely: the media child.

`python -m scrivano.media.child` reads one request (a JSON line) from stdin, decodes the file that it names frame by
frame into the target file, and sends each chunk as soon as it is certain, while it still decodes. Its memory is flat.
With `--forks` it does so in a fork for each recording (see `processes.fork_server`).
One thread decodes, cuts and sends; others help to find the speech in what it has decoded.

The file is untrusted. FFmpeg may open nothing but that one file (protocol and format whitelists: without them a
playlist of 37 bytes reads other files or calls addresses), and this process has limits on memory, CPU time,
file size and open files before it looks at the first byte.
"""

from __future__ import annotations

import errno
import json
import logging
import math
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from types import FrameType
from typing import Any

import av
import numpy as np
from av.audio import AudioStream
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Discard
from numpy.typing import NDArray

from scrivano.domain.errors import MediaError
from scrivano.domain.job import SAMPLE_RATE, Chunk
from scrivano.media.chunking import WINDOW, Chunker, ChunkingOptions
from scrivano.media.parallel_map import ParallelMap, spare_cores
from scrivano.media.vad import Hear, SileroVad, loudness, model_path
from scrivano.processes.fork_server import run

# FFmpeg's demuxers of recordings (`mov` is MP4, M4A, 3GP too; `matroska` WebM; `asf` WMA; `wav` RF64). None of them
# opens another file or address. Those that do are not here: concat, hls, dash, sdp, rtsp, image2, imf.
FORMATS = (
    "aac,ac3,aiff,amr,ape,asf,au,avi,caf,dsf,dss,dts,dtshd,eac3,flac,flv,loas,matroska,mlp,mov,mp3,mpc,mpc8,mpeg,"
    "mpegts,mxf,nistsphere,ogg,oma,qcp,rm,shn,tak,truehd,tta,voc,w64,wav,wv"
)

# Samples (2 s) that go through the VAD at once. A constant: the same file must give the same chunks on every run.
BLOCK = 64 * WINDOW

PROGRESS_S = 30.0
LEADING_S = 0.1
# Shorter holes in the timestamps are jitter (containers round to milliseconds, decoders have a start-up delay).
GAP_S = 0.5

# Read errors in a row, without a packet between them, after which a damaged file counts as ended.
MAX_FAILURES = 32

OPEN_FILES = 16
# CPU seconds between the polite end (SIGXCPU) and the kernel's.
GRACE_S = 5

ADVICE = "submit a WAV, MP3, M4A, FLAC, OGG, MP4 or MKV file"

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """`memory_bytes` limits the process's data (what it may write to), `cpu_secs` its CPU time from now on.
    `vad` False: all of the recording counts as speech.

    A day of speech takes about 5 minutes of one core and 150 MB; a day of MP4, whose index FFmpeg keeps in
    memory, up to 400 MB. None: no limit.
    """

    source: str
    target: str
    max_audio_secs: float
    vad: bool = True
    memory_bytes: int | None = 1 << 30
    cpu_secs: int | None = 3600
    max_chunk_secs: float = 30.0


Send = Callable[[Mapping[str, Any]], None]


class Recording:
    """An open file and its best audio stream (`container.streams.best`: FFmpeg's choice)."""

    def __init__(self, container: InputContainer, stream: AudioStream, max_audio_secs: float) -> None:
        self._container = container
        self._stream = stream
        self._timeline = _Timeline(
            origin=(container.start_time or 0) / av.time_base,
            end=max_audio_secs if self.duration is None else self.duration + 1.0,
        )
        self._damaged = 0

    @property
    def duration(self) -> float | None:
        """Seconds, as the container claims; it may be wrong."""
        claimed = self._container.duration
        return claimed / av.time_base if claimed is not None and claimed > 0 else None

    @property
    def format(self) -> str:
        """FFmpeg's name of the container."""
        return self._container.format.name

    def audio(self) -> Iterator[NDArray[np.int16]]:
        """16 kHz mono audio in order; sample 0 is where the file's clock starts.

        Damaged packets are skipped. Raises `MediaError` if nothing but damage was found.
        """
        mixer = _Mixer()
        for frame in self._frames():
            silence = self._timeline.silence_before(frame)
            if silence > 0:
                yield from mixer.flush()
                yield from _zeros(round(silence * SAMPLE_RATE))
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
        """All packets of the stream, and at the end an empty one or None, which flushes the decoder."""
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
                # `demux` ends at a read error; called again, it goes on behind it.
                failures += 1
                self._damaged += 1
        yield None

    def _report_damage(self) -> None:
        if not self._timeline.position:
            raise MediaError("not_media", f"the sound in this file is damaged or copy-protected; {ADVICE}")
        logger.warning("skipped %d damaged packets", self._damaged)


class _Timeline:
    """Where each frame belongs on the file's clock, so that holes in the recording stay holes.

    `origin` and `end` are seconds on the container's clock. A hole that leads beyond `end` is no hole but a
    clock that jumped, as is a step back: then the recording goes on where it is.
    """

    def __init__(self, *, origin: float, end: float) -> None:
        self._origin = origin
        self._end = end
        self.position = 0.0

    def silence_before(self, frame: av.AudioFrame) -> float:
        """Seconds of silence between what came so far and this frame."""
        gap = 0.0 if frame.time is None else frame.time - self._origin - self.position
        least = GAP_S if self.position else LEADING_S
        hole = gap if least < gap <= self._end - self.position else 0.0
        if not hole and abs(gap) > GAP_S:
            self._origin += gap
        self.position += hole + frame.samples / frame.sample_rate
        return hole


class _Mixer:
    """Frames of any rate, layout and sample format, which may change on the way → 16 kHz mono."""

    def __init__(self) -> None:
        self._resampler: av.AudioResampler | None = None
        self._kind: tuple[str, str, int] | None = None

    def mix(self, frame: av.AudioFrame) -> Iterator[NDArray[np.int16]]:
        kind = (frame.format.name, frame.layout.name, frame.sample_rate)
        if kind != self._kind:
            yield from self.flush()
            # A frame size makes it one Python object per block, not one per frame: a third less time.
            self._resampler = av.AudioResampler("s16", "mono", SAMPLE_RATE, frame_size=BLOCK)
            self._kind = kind
        yield from self._resample(frame)

    def flush(self) -> Iterator[NDArray[np.int16]]:
        """What the resampler still holds. The next frame starts a new one."""
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


class Target:
    """The prepared file. Digital silence becomes holes, so that it costs no disk.

    A file left by an earlier attempt is overwritten with the same bytes, never shortened on the way: an engine may
    have it mapped, and reading behind the end of a mapped file kills the reader.
    """

    def __init__(self, path: str) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._length = os.fstat(self._fd).st_size
        self._left = self._length
        self._size = 0

    @property
    def samples(self) -> int:
        """Written so far."""
        return self._size // 2

    def write(self, audio: NDArray[np.int16]) -> None:
        hole = self._size >= self._left and not audio.any()
        data = b"" if hole else audio.astype("<i2", copy=False).tobytes()
        written = 0
        while written < len(data):
            written += os.pwrite(self._fd, data[written:], self._size + written)
        self._size += audio.nbytes

    def settle(self) -> None:
        """Make the file as long as what was written to it. A reader then finds all of it."""
        if self._length < self._size:
            os.ftruncate(self._fd, self._size)
            self._length = self._size

    def sync(self) -> None:
        """All is written. Returns when it is on disk: the rows that name it outlive a power cut."""
        os.ftruncate(self._fd, self._size)
        os.fsync(self._fd)

    def close(self) -> None:
        os.close(self._fd)


@contextmanager
def open_recording(source: str, max_audio_secs: float) -> Iterator[Recording]:
    """Open an untrusted file. Raises `MediaError`: `not_media` or `no_audio`."""
    if os.stat(source).st_size == 0:
        raise MediaError("not_media", f"the file is empty; {ADVICE}")
    with _open(source) as container:
        stream = _best_audio(container)
        stream.codec_context.thread_count = 1
        for other in container.streams:
            if other.index != stream.index:
                other.discard = Discard.all
        yield Recording(container, stream, max_audio_secs)


def _best_audio(container: InputContainer) -> AudioStream:
    stream = container.streams.best("audio")
    if isinstance(stream, AudioStream) and stream.codec_context is not None:
        return stream
    if container.streams.audio or not len(container.streams):
        # Text or noise with an audio file's name gets so far: a stream without rate, channels or known codec.
        raise _not_media()
    raise MediaError("no_audio", "the file has no audio stream; submit a file with sound")


def _open(source: str) -> InputContainer:
    try:
        # An absolute path is never taken for an address. Old tags are often not UTF-8.
        return av.open(
            os.path.abspath(source),
            container_options={"protocol_whitelist": "file", "format_whitelist": FORMATS},
            metadata_errors="replace",
        )
    except MemoryError:
        raise
    except (FFmpegError, ValueError) as error:
        raise _not_media() from error


def _not_media() -> MediaError:
    return MediaError("not_media", f"the file is not a recording, or it is incomplete; {ADVICE}")


def prepare(request: Request, hear: Hear, send: Send) -> None:
    """Decode, find speech by what `hear` says, cut: sends `probe`, then `chunk` and `progress`, then `end`.

    Raises `MediaError`.
    """
    with (
        open_recording(request.source, request.max_audio_secs) as recording,
        closing(Target(request.target)) as target,
    ):
        send({"type": "probe", "duration": recording.duration, "format": recording.format})
        chunker = Chunker(ChunkingOptions(max_chunk_secs=request.max_chunk_secs))
        chunks = 0
        heard_secs = reported_secs = 0.0
        for heard in hear(_written(recording.audio(), target, request.max_audio_secs)):
            chunks += _send_chunks(chunker.feed(heard.tolist()), target, send)
            heard_secs += len(heard) * WINDOW / SAMPLE_RATE
            if heard_secs - reported_secs >= PROGRESS_S:
                reported_secs = heard_secs
                send({"type": "progress", "seconds": heard_secs})
        chunks += _send_chunks(chunker.finish(target.samples), target, send)
        target.sync()
        send({"type": "end", "duration": target.samples / SAMPLE_RATE, "chunks": chunks})


def _written(audio: Iterable[NDArray[np.int16]], target: Target, max_audio_secs: float) -> Iterator[NDArray[np.int16]]:
    """The audio in blocks of whole windows, each given out when it is in the target."""
    for block in _blocks(audio):
        if target.samples + len(block) > max_audio_secs * SAMPLE_RATE:
            raise _too_long(max_audio_secs)
        target.write(block)
        yield _whole_windows(block)


def _send_chunks(chunks: Sequence[Chunk], target: Target, send: Send) -> int:
    for chunk in chunks:
        target.settle()
        pieces = [[piece.start, piece.end] for piece in chunk.pieces]
        send({"type": "chunk", "index": chunk.index, "pieces": pieces})
    return len(chunks)


def _too_long(max_audio_secs: float) -> MediaError:
    return MediaError(
        "too_long",
        f"the recording is longer than the {max_audio_secs:g} s that this server accepts; "
        "submit it in parts, or raise MAX_AUDIO_SECS",
    )


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


def _whole_windows(block: NDArray[np.int16]) -> NDArray[np.int16]:
    missing = -len(block) % WINDOW
    return np.pad(block, (0, missing)) if missing else block


def _zeros(samples: int) -> Iterator[NDArray[np.int16]]:
    for start in range(0, samples, BLOCK):
        yield np.zeros(min(BLOCK, samples - start), np.int16)


def load() -> SileroVad:
    """What every recording needs; takes all but 20 ms of what starting takes."""
    import_module("av.subtitles.stream")  # PyAV itself does so at the first file, where the limits might forbid it.
    return SileroVad(model_path())


def work(vad: SileroVad) -> int:
    """One request, its answers, exit code 0 (also after an `error` answer)."""
    send = _answers()
    send({"type": "ready"})
    line = _read_line()
    if not line:
        return 0
    threading.Thread(target=_exit_with_stdin, daemon=True).start()
    request = Request(**json.loads(line))
    try:
        _limit(request)
        with ParallelMap(spare_cores()) as lanes:
            prepare(request, partial(vad, spread=lanes.map) if request.vad else loudness, send)
    except MediaError as error:
        send({"type": "error", "code": error.code, "message": str(error)})
    except MemoryError:
        send({"type": "error", "code": "media_crashed", "message": f"the file needs too much memory to read; {ADVICE}"})
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        message = "the server has no room for the prepared audio; free disk space and submit it again"
        send({"type": "error", "code": "storage_full", "message": message})
    return 0


def _answers() -> Send:
    """A writer of JSON lines to what was stdout. From here on, whatever a library prints goes to stderr."""
    out = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)

    def send(body: Mapping[str, Any]) -> None:
        try:
            out.write(json.dumps(body).encode() + b"\n")
        except BrokenPipeError:
            os._exit(1)  # Nobody listens: the server died.

    return send


def _read_line() -> bytes:
    """The request line from stdin; empty when stdin was closed before one came."""
    line = b""
    # Not `sys.stdin`: its lock, held by the watching thread, would hang or abort the interpreter's end.
    while not line.endswith(b"\n"):
        part = os.read(0, 65536)
        if not part:
            return b""
        line += part
    return line


def _exit_with_stdin() -> None:
    while os.read(0, 65536):
        pass
    os._exit(1)


def _limit(request: Request) -> None:
    target_bytes = math.ceil(request.max_audio_secs * SAMPLE_RATE + BLOCK) * 2
    _lower(resource.RLIMIT_CORE, 0)
    _lower(resource.RLIMIT_FSIZE, target_bytes)
    _lower(resource.RLIMIT_NOFILE, OPEN_FILES)
    if request.memory_bytes is not None:
        # Not RLIMIT_AS: libraries and thread arenas reserve far more addresses than they ever use.
        _lower(resource.RLIMIT_DATA, request.memory_bytes)
    if request.cpu_secs is not None:
        signal.signal(signal.SIGXCPU, _out_of_time)
        soft = math.ceil(time.process_time()) + request.cpu_secs
        _lower(resource.RLIMIT_CPU, soft, soft + GRACE_S)


def _lower(kind: int, soft: int, hard: int | None = None) -> None:
    """Set a limit for good, never above the one that this process was given."""
    allowed = resource.getrlimit(kind)[1]
    ceiling = soft if hard is None else hard
    if allowed != resource.RLIM_INFINITY:
        soft, ceiling = min(soft, allowed), min(ceiling, allowed)
    resource.setrlimit(kind, (soft, ceiling))


def _out_of_time(_signal: int, _frame: FrameType | None) -> None:
    """PyAV's resampler may swallow the error; but the signal comes again with every second, up to the hard limit."""
    raise MediaError("media_timeout", f"the file takes too long to read; {ADVICE}")


if __name__ == "__main__":
    sys.exit(run(load, work))
