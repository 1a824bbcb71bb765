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
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from functools import partial
from importlib import import_module
from itertools import tee
from operator import itemgetter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from scrivano.domain.chunk import SAMPLE_RATE, Chunk, side_path
from scrivano.domain.errors import MediaError
from scrivano.media.chunking import WINDOW, Chunker, ChunkingOptions, SpeechLog
from scrivano.media.limits import limit_process
from scrivano.media.loudness import loudness
from scrivano.media.parallel_map import ParallelMap, spare_cores
from scrivano.media.peaks import Peaks
from scrivano.media.prepared_file import PreparedFile
from scrivano.media.quiet import amplified
from scrivano.media.recording import BLOCK, Sides, open_recording
from scrivano.media.sides import Plan, plan
from scrivano.media.silero_vad import SileroVad, SpeechDetector, whole_windows
from scrivano.media.source import ADVICE
from scrivano.media.track_search import find_tracks
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
    when it is called again, and goes on with what it was called with before.
    Without `vad` the recording is cut where it is quietest, and all of it is sent. Raises `MediaError`.
    """
    choice = TrackChoice(track=request.audio_track, language=request.language)
    with open_recording(request.source, request.max_audio_s, ending=request.ending, choice=choice) as recording:
        send(Probed(duration=recording.duration))
        tracks = find_tracks(recording, lambda blocks: _reported(detect_speech(blocks), send))
        if not tracks.speaks and not request.vad:
            tracks = find_tracks(recording, lambda blocks: _reported(loudness(blocks), send))
        reading = plan(recording, tracks, request.channels, request.speakers)
        if reading.split:
            send(Probed(duration=recording.duration, sides=len(reading.sides)))
        with ExitStack() as files:
            targets = [
                files.enter_context(closing(PreparedFile(side_path(request.target, number))))
                for number in range(len(reading.sides))
            ]
            _prepare_sides(request, reading, targets, detect_speech, send)


def _prepare_sides(
    request: Prepare, reading: Plan, targets: Sequence[PreparedFile], detect_speech: SpeechDetector, send: Send
) -> None:
    """`targets`: a file for each side."""
    peaks = Peaks()
    sides = [_Side(number if reading.split else None, target, request) for number, target in enumerate(targets)]
    streams = tee(_written(reading.sides, targets, peaks, request.max_audio_s), 2 * len(sides))
    audio = [map(itemgetter(number // 2), stream) for number, stream in enumerate(streams)]
    # What is far away on a channel with a voice of its own is the leak of another channel.
    heard = audio[::2] if reading.split else map(amplified, audio[::2])
    detected = [_reported(detect_speech(blocks), send) for blocks in heard]
    # Without `vad` all of the recording is decoded, but what is speech in it is still worth knowing.
    cut_by = [loudness(blocks) for blocks in audio[1::2]]
    chunks = 0
    for values in zip(*detected, *cut_by, strict=True):
        for number, side in enumerate(sides):
            chunks += side.send(side.feed(values[number], values[len(sides) + number]), chunks, send)
    for side in sides:
        chunks += side.send(side.finish(), chunks, send)
    send(Described(audio=reading.audio, warnings=(*reading.warnings, *reading.sides.warnings[:MOST_WARNINGS])))
    waveform = peaks.waveform()
    send(Drawn(peak_secs=waveform.peak_secs, peaks=waveform.peaks))
    send(Prepared(duration=targets[0].samples / SAMPLE_RATE, chunks=chunks))


class _Side:
    """What is cut from one side of a recording; `number` None: it has only one."""

    def __init__(self, number: int | None, target: PreparedFile, request: Prepare) -> None:
        self._number = number
        self._target = target
        self._vad = request.vad
        self._chunker = Chunker(ChunkingOptions(max_chunk_secs=request.max_chunk_s))
        self._speech = SpeechLog()

    def feed(self, found: NDArray[np.float32], cut_by: NDArray[np.float32]) -> list[Chunk]:
        """`found`: the probabilities of speech; without `vad` the chunks are cut by the others."""
        self._speech.feed(found.tolist())
        return self._chunker.feed((found if self._vad else cut_by).tolist())

    def finish(self) -> list[Chunk]:
        self._target.finish()
        self._speech.finish(self._target.samples)
        return self._chunker.finish(self._target.samples)

    def send(self, chunks: Iterable[Chunk], first: int, send: Send) -> int:
        """Send the chunks, numbered from `first`; returns how many there are."""
        count = 0
        for chunk in map(self._speech.mark, chunks):
            # The server may give the chunk to an engine at once: all of it must be in the file.
            self._target.extend()
            pieces, speech = pairs_of(chunk.pieces), pairs_of(chunk.speech or ())
            send(ChunkCut(index=first + count, pieces=pieces, speech=speech, side=self._number))
            count += 1
        return count


def _reported(probabilities: Iterator[NDArray[np.float32]], send: Send) -> Iterator[NDArray[np.float32]]:
    """The same, with messages to the server that this process makes progress."""
    done_s = reported_s = 0.0
    for some in probabilities:
        yield some
        done_s += len(some) * WINDOW / SAMPLE_RATE
        if done_s - reported_s >= PROGRESS_S:
            reported_s = done_s
            send(Preparing())


def _written(
    sides: Sides, targets: Sequence[PreparedFile], peaks: Peaks, max_audio_s: float
) -> Iterator[list[NDArray[np.int16]]]:
    """The audio in blocks of whole windows, one of each side. Each is in its target, and in `peaks`, before it is
    yielded."""
    for blocks in sides.blocks():
        if targets[0].samples + len(blocks[0]) > max_audio_s * SAMPLE_RATE:
            raise _too_long(max_audio_s)
        for block, target in zip(blocks, targets, strict=True):
            target.write(block)
        peaks.feed(_loudest(blocks))
        yield [whole_windows(block) for block in blocks]


def _loudest(blocks: Sequence[NDArray[np.int16]]) -> NDArray[np.int16]:
    """Of each sample, the side in which it is loudest."""
    if len(blocks) == 1:
        return blocks[0]
    joined = np.stack(blocks)
    places = np.abs(joined.astype(np.int32)).argmax(axis=0)
    return np.asarray(np.take_along_axis(joined, places[None], axis=0)[0], np.int16)


def _too_long(max_audio_s: float) -> MediaError:
    return MediaError(
        "too_long",
        f"the recording is longer than the {max_audio_s:g} s that this server accepts; "
        "submit it in parts, or raise MAX_AUDIO_SECS",
    )


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
