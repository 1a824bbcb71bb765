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
import math
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from functools import partial
from importlib import import_module
from itertools import tee
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from scrivano.domain.chunk import SAMPLE_RATE, Chunk
from scrivano.domain.errors import MediaError
from scrivano.domain.recording import RecordingWarning
from scrivano.media.chunking import WINDOW, Chunker, ChunkingOptions, SpeechLog
from scrivano.media.limits import limit_process
from scrivano.media.loudness import loudness
from scrivano.media.parallel_map import ParallelMap, spare_cores
from scrivano.media.peaks import Peaks
from scrivano.media.prepared_file import PreparedFile
from scrivano.media.recording import BLOCK, Mix, Reading, open_recording
from scrivano.media.silero_vad import SileroVad, SpeechDetector
from scrivano.media.source import ADVICE
from scrivano.media.track_search import Found, find_tracks
from scrivano.media.tracks import TrackChoice
from scrivano.processes.channel import Channel
from scrivano.processes.fork_server import run
from scrivano.processes.messages import (
    ChunkCut,
    Described,
    Drawn,
    MediaMessage,
    PreparationFailed,
    Prepare,
    Prepared,
    Preparing,
    Probed,
    encoder,
    pairs_of,
    parser,
)

# Seconds of audio between two `Preparing` messages.
PROGRESS_S = 30.0
# So many warnings are sent.
MOST_WARNINGS = 50

Send = Callable[[MediaMessage], None]


def prepare(request: Prepare, detect_speech: SpeechDetector, send: Send) -> None:
    """Decode, detect speech, cut: sends `Probed`, then `ChunkCut` and `Preparing`, then `Described`, `Drawn` and
    `Prepared`.

    Of several tracks, the best one that has speech is read, and those that belong to it. `detect_speech` starts anew
    when it is called again.
    Without `vad` the recording is cut where it is quietest, and all of it is sent. Raises `MediaError`.
    """
    choice = TrackChoice(track=request.audio_track, language=request.language)
    with (
        open_recording(request.source, request.max_audio_s, ending=request.ending, choice=choice) as recording,
        closing(PreparedFile(request.target)) as target,
    ):
        send(Probed(duration=recording.duration))
        tracks = find_tracks(recording, lambda blocks: _reported(detect_speech(blocks), send))
        if not tracks.speaks and not request.vad:
            tracks = find_tracks(recording, lambda blocks: _reported(loudness(blocks), send))
        reading = recording.mix(tracks.ranks)
        chunker = Chunker(ChunkingOptions(max_chunk_secs=request.max_chunk_s))
        speech, peaks = SpeechLog(), Peaks()
        chunks = 0
        blocks, same = tee(_written(reading, target, peaks, request.max_audio_s))
        detected = _reported(detect_speech(blocks), send)
        # Without `vad` all of the recording is decoded, but what is speech in it is still worth knowing.
        for found, cut_by in zip(detected, loudness(same), strict=True):
            speech.feed(found.tolist())
            cut = chunker.feed((found if request.vad else cut_by).tolist())
            chunks += _send_chunks(map(speech.mark, cut), target, send)
        speech.finish(target.samples)
        chunks += _send_chunks(map(speech.mark, chunker.finish(target.samples)), target, send)
        target.finish()
        send(Described(audio=reading.audio, warnings=_warnings(reading, tracks)))
        waveform = peaks.waveform()
        send(Drawn(peak_secs=waveform.peak_secs, peaks=waveform.peaks))
        send(Prepared(duration=target.samples / SAMPLE_RATE, chunks=chunks))


def _reported(probabilities: Iterator[NDArray[np.float32]], send: Send) -> Iterator[NDArray[np.float32]]:
    """The same, with messages to the server that this process makes progress."""
    done_s = reported_s = 0.0
    for some in probabilities:
        yield some
        done_s += len(some) * WINDOW / SAMPLE_RATE
        if done_s - reported_s >= PROGRESS_S:
            reported_s = done_s
            send(Preparing())


def _warnings(reading: Reading | Mix, found: Found) -> tuple[RecordingWarning, ...]:
    return (*found.warnings, *reading.warnings[:MOST_WARNINGS])


def _written(
    reading: Reading | Mix, target: PreparedFile, peaks: Peaks, max_audio_s: float
) -> Iterator[NDArray[np.int16]]:
    """The audio in blocks of whole windows. Each block is in the target, and in `peaks`, before it is yielded."""
    for block in reading.blocks():
        if target.samples + len(block) > max_audio_s * SAMPLE_RATE:
            raise _too_long(max_audio_s)
        target.write(block)
        peaks.feed(block)
        yield _whole_windows(block)


def _send_chunks(chunks: Iterable[Chunk], target: PreparedFile, send: Send) -> int:
    count = 0
    for chunk in chunks:
        # The server may give the chunk to an engine at once: all of it must be in the file.
        target.extend()
        send(ChunkCut(index=chunk.index, pieces=pairs_of(chunk.pieces), speech=pairs_of(chunk.speech or ())))
        count += 1
    return count


def _too_long(max_audio_s: float) -> MediaError:
    return MediaError(
        "too_long",
        f"the recording is longer than the {max_audio_s:g} s that this server accepts; "
        "submit it in parts, or raise MAX_AUDIO_SECS",
    )


def _whole_windows(block: NDArray[np.int16]) -> NDArray[np.int16]:
    missing = -len(block) % WINDOW
    return np.pad(block, (0, missing)) if missing else block


class Loaded(NamedTuple):
    """Objects that every recording needs; loaded once, before the process forks."""

    vad: SileroVad
    parse: Callable[[bytes], Prepare]
    encode: Callable[[MediaMessage], bytes]


def load() -> Loaded:
    """Takes all but 20 ms of the time that a start takes."""
    import_module("av.subtitles.stream")  # PyAV itself imports it at the first file, where the limits might forbid it.
    return Loaded(SileroVad(), parser(Prepare), encoder(MediaMessage))


def work(loaded: Loaded) -> int:
    """Serve one request. Returns the exit code: 0, also after `PreparationFailed`."""
    channel = Channel(loaded.parse, loaded.encode)
    request = channel.request()
    if request is None:
        return 0
    channel.exit_with_server()
    try:
        limit_process(
            file_bytes=math.ceil(request.max_audio_s * SAMPLE_RATE + BLOCK) * 2,
            memory_bytes=request.memory_bytes,
            cpu_s=request.cpu_s,
        )
        with ParallelMap(spare_cores()) as threads:
            vad = partial(loaded.vad, map_function=threads.map)
            prepare(request, vad, channel.send)
    except MediaError as error:
        channel.send(PreparationFailed(code=error.code, message=str(error)))
    except MemoryError:
        message = f"the file needs too much memory to read; {ADVICE}"
        channel.send(PreparationFailed(code="media_crashed", message=message))
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        message = "the server has no disk space for the prepared audio; free some and submit the recording again"
        channel.send(PreparationFailed(code="storage_full", message=message))
    return 0


if __name__ == "__main__":
    sys.exit(run(load, work))
