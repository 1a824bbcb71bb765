"""The media child: a process that turns one recording into 16 kHz mono audio and chunks of speech.

`python -m scrivano.media.child` reads one request from stdin, decodes the source file frame by frame into the target
file, and sends each chunk as soon as it is certain, while it still decodes. Its memory use is flat.
With `--forks` it forks a process for each recording (see `processes.fork_server`).
One thread decodes, cuts and sends; others help to detect speech in the decoded audio.

The file is untrusted: `recording` lets FFmpeg open nothing else, and `limits` bounds memory, CPU time, file size and
open files before the first byte is read.
"""

from __future__ import annotations

import errno
import json
import math
import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scrivano.domain.chunk import SAMPLE_RATE, Chunk
from scrivano.domain.errors import MediaError
from scrivano.media.chunking import WINDOW, Chunker, ChunkingOptions
from scrivano.media.limits import limit_process
from scrivano.media.loudness import loudness
from scrivano.media.parallel_map import ParallelMap, spare_cores
from scrivano.media.prepared_file import PreparedFile
from scrivano.media.recording import ADVICE, BLOCK, Recording, open_recording
from scrivano.media.silero_vad import SileroVad, SpeechDetector
from scrivano.processes.fork_server import run

# Seconds of audio between two `progress` messages.
PROGRESS_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """`memory_bytes` limits the process's writable memory, `cpu_secs` its CPU time from now on; None: no limit.
    `vad` False: the whole recording counts as speech.

    A day of speech takes about 5 minutes of one core and 150 MB; a day of MP4, whose index FFmpeg keeps in
    memory, up to 400 MB.
    """

    source: str
    target: str
    max_audio_secs: float
    vad: bool = True
    memory_bytes: int | None = 1 << 30
    cpu_secs: int | None = 3600
    max_chunk_secs: float = 30.0


Send = Callable[[Mapping[str, Any]], None]


def prepare(request: Request, detect_speech: SpeechDetector, send: Send) -> None:
    """Decode, detect speech, cut: sends `probe`, then `chunk` and `progress`, then `end`. Raises `MediaError`."""
    with (
        open_recording(request.source, request.max_audio_secs) as recording,
        closing(PreparedFile(request.target)) as target,
    ):
        send({"type": "probe", "duration": recording.duration, "format": recording.format})
        chunker = Chunker(ChunkingOptions(max_chunk_secs=request.max_chunk_secs))
        chunks = 0
        done_s = reported_s = 0.0
        for probabilities in detect_speech(_written(recording, target, request.max_audio_secs)):
            chunks += _send_chunks(chunker.feed(probabilities.tolist()), target, send)
            done_s += len(probabilities) * WINDOW / SAMPLE_RATE
            if done_s - reported_s >= PROGRESS_S:
                reported_s = done_s
                send({"type": "progress", "seconds": done_s})
        chunks += _send_chunks(chunker.finish(target.samples), target, send)
        target.sync()
        send({"type": "end", "duration": target.samples / SAMPLE_RATE, "chunks": chunks})


def _written(recording: Recording, target: PreparedFile, max_audio_secs: float) -> Iterator[NDArray[np.int16]]:
    """The audio in blocks of whole windows. Each block is in the target before it is yielded."""
    for block in recording.blocks():
        if target.samples + len(block) > max_audio_secs * SAMPLE_RATE:
            raise _too_long(max_audio_secs)
        target.write(block)
        yield _whole_windows(block)


def _send_chunks(chunks: Sequence[Chunk], target: PreparedFile, send: Send) -> int:
    for chunk in chunks:
        # The server may give the chunk to an engine at once, which maps the file: all of the chunk must be in it.
        target.extend()
        pieces = [[piece.start, piece.end] for piece in chunk.pieces]
        send({"type": "chunk", "index": chunk.index, "pieces": pieces})
    return len(chunks)


def _too_long(max_audio_secs: float) -> MediaError:
    return MediaError(
        "too_long",
        f"the recording is longer than the {max_audio_secs:g} s that this server accepts; "
        "submit it in parts, or raise MAX_AUDIO_SECS",
    )


def _whole_windows(block: NDArray[np.int16]) -> NDArray[np.int16]:
    missing = -len(block) % WINDOW
    return np.pad(block, (0, missing)) if missing else block


def load() -> SileroVad:
    """Load everything that each recording needs: all but 20 ms of the time that a start takes."""
    import_module("av.subtitles.stream")  # PyAV itself imports it at the first file, where the limits might forbid it.
    return SileroVad()


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
        limit_process(
            file_bytes=math.ceil(request.max_audio_secs * SAMPLE_RATE + BLOCK) * 2,
            memory_bytes=request.memory_bytes,
            cpu_s=request.cpu_secs,
        )
        with ParallelMap(spare_cores()) as threads:
            prepare(request, partial(vad, map_function=threads.map) if request.vad else loudness, send)
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


if __name__ == "__main__":
    sys.exit(run(load, work))
