"""Between a dispatcher and a child on a node: the same messages, with the places of their audio exchanged.

The dispatcher names audio that is stored; the child reads and writes files of its node. What cannot be fetched or
stored is answered in the child's place. A translator belongs to one child: `to_child` is called on one thread,
`from_child` on another one.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path, PurePath
from typing import Any, Protocol

from scrivano.cluster.audio_names import BYTES_PER_SAMPLE, PreparedAudio, blocks
from scrivano.domain.chunk import SAMPLE_RATE, side_path, speechless_start
from scrivano.domain.errors import ScrivanoError, StorageFull, StorageUnreachable
from scrivano.files.audio_objects import AudioObjects
from scrivano.files.blobs import LocalCopy, Recordings
from scrivano.processes.messages import (
    ChunkCut,
    ChunkRequest,
    Decode,
    EngineMessage,
    EngineRequest,
    Failed,
    FailureKind,
    Load,
    Loaded,
    MediaMessage,
    PreparationFailed,
    Prepare,
    Prepared,
    Preparing,
    Probed,
    encoder,
    parser,
)
from scrivano.processes.voice_messages import FindVoices, NameSpeakers, VoiceMessage, VoiceRequest, VoicesFailed

__all__ = ["EngineTranslator", "MediaTranslator", "SpeakersTranslator", "Translator"]

Reply = Callable[[bytes], None]

# While a recording is fetched, the dispatcher hears of it this often.
PROGRESS_S = 10.0

# Chunks of a batch that are fetched at once.
FETCHES = 4

# How long a batch waits whose audio cannot be read.
RETRY_S = 3.0

# A request of the speakers child waits so long for its storage, and looks for it this often.
VOICES_WAIT_S = 600.0
VOICES_RETRY_S = 5.0


class Translator(Protocol):
    def to_child(self, line: bytes, attachment: bytes | None) -> bytes | None:
        """The request that the child gets; None: none, because it was answered. `attachment`: see `NameSpeakers`."""

    def from_child(self, line: bytes) -> bytes:
        """The message that the dispatcher gets."""

    def ended(self) -> None:
        """The child has ended: delete its files."""


class MediaTranslator:
    """Fetches the recording; stores each chunk before it is announced."""

    def __init__(
        self,
        recordings: Recordings,
        audio: AudioObjects,
        folder: Path,
        reply: Reply,
        progress_s: float = PROGRESS_S,
    ) -> None:
        self._progress_s = progress_s
        self._recordings = recordings
        self._audio = audio
        self._target = folder / "audio.pcm"
        self._reply = reply
        self._parse_request: Callable[[bytes], Prepare] = parser(Prepare)
        self._encode_request: Callable[[Prepare], bytes] = encoder(Prepare)
        self._parse: Callable[[bytes], MediaMessage] = parser(MediaMessage)
        self._encode: Callable[[MediaMessage], bytes] = encoder(MediaMessage)
        self._source: LocalCopy | None = None
        self._prepared = PreparedAudio("none", 0)
        self._voices = False
        # Up to this sample the audio is stored in blocks.
        self._stored_to = 0

    def to_child(self, line: bytes, attachment: bytes | None) -> bytes | None:
        request = self._parse_request(line)
        self._prepared = PreparedAudio.of(request.target)
        self._voices, self._stored_to = request.voices, 0
        with self._failures("fetched"), self._progress():
            self._source = self._recordings.fetch(PurePath(request.source).name)
            return self._encode_request(replace(request, source=str(self._source.path), target=str(self._target)))
        return None

    def from_child(self, line: bytes) -> bytes:
        message = self._parse(line)
        failed: list[bytes] = []
        with self._failures("stored", failed.append):
            self._store(message)
        return failed[0] if failed else line

    def ended(self) -> None:
        if self._source is not None:
            self._source.close()
            self._source = None
        for path in self._target.parent.glob(f"{self._target.name}*"):
            path.unlink(missing_ok=True)

    def _store(self, message: MediaMessage) -> None:
        match message:
            case Probed(sides=sides) if sides > 1:
                self._voices = False
            case ChunkCut():
                prepared = replace(self._prepared, side=message.side or 0)
                self._put(prepared, prepared.chunk(message.pieces[0][0]), message.pieces)
                if message.index:  # what is before the first chunk belongs to it
                    self._store_blocks(message.pieces[0][0])
            case Prepared():
                start = speechless_start(message.duration)
                if not message.chunks and start.end:
                    self._put(self._prepared, self._prepared.chunk(0), [(start.start, start.end)])
                if message.chunks:
                    self._store_blocks(round(message.duration * SAMPLE_RATE))

    def _store_blocks(self, to: int) -> None:
        """Voices may be looked for from the chunk before up to here: where the next one starts, or the audio ends."""
        if self._voices:
            for block in blocks(self._stored_to, to):
                self._put(self._prepared, self._prepared.block(block[0]), [block])
            self._stored_to = to

    def _put(self, prepared: PreparedAudio, name: str, pieces: Sequence[tuple[int, int]]) -> None:
        with open(side_path(str(self._target), prepared.side), "rb", buffering=0) as file:
            data = b"".join(_read(file.fileno(), *piece) for piece in pieces)
        self._audio.put(prepared.job_id, name, data)

    @contextmanager
    def _failures(self, what: str, reply: Reply | None = None) -> Iterator[None]:
        """Errors of the storage, as the end of the preparation."""
        try:
            yield
        except FileNotFoundError:
            code, message = "audio_gone", "the recording is no longer kept; submit it again"
        except StorageUnreachable as error:
            code, message = error.code, error.reason
        except ScrivanoError as error:
            code, message = error.code, str(error)
        except OSError as error:
            code, message = StorageUnreachable.code, f"audio cannot be {what} on this node: {error}"
        else:
            return
        (reply or self._reply)(self._encode(PreparationFailed(code=code, message=message)))

    @contextmanager
    def _progress(self) -> Iterator[None]:
        """Tell the dispatcher now and then that this takes long."""
        ended = threading.Event()

        def report() -> None:
            while not ended.wait(self._progress_s):
                self._reply(self._encode(Preparing()))

        threading.Thread(target=report, daemon=True).start()
        try:
            yield
        finally:
            ended.set()


class EngineTranslator:
    """Fetches the chunks of a batch into files.

    `free_mb` reads the free memory of the engine's GPU, None where there is none; with less than `needed_mb` nothing is
    loaded. A batch whose audio cannot be read is kept for `retry_s`: it comes back at once.
    """

    def __init__(
        self,
        audio: AudioObjects,
        folder: Path,
        reply: Reply,
        free_mb: Callable[[], int | None],
        needed_mb: int,
        retry_s: float = RETRY_S,
    ) -> None:
        self._retry_s = retry_s
        self._ended = threading.Event()
        self._audio = audio
        self._folder = folder
        self._reply = reply
        self._free_mb = free_mb
        self._needed_mb = needed_mb
        self._parse_request: Callable[[bytes], EngineRequest] = parser(EngineRequest)
        self._encode_request: Callable[[EngineRequest], bytes] = encoder(EngineRequest)
        self._encode: Callable[[EngineMessage], bytes] = encoder(EngineMessage)
        self._fetches = ThreadPoolExecutor(FETCHES)
        self._last_file = 0
        # The files of each batch.
        self._files: dict[int, list[Path]] = {}

    def to_child(self, line: bytes, attachment: bytes | None) -> bytes | None:
        match request := self._parse_request(line):
            case Load():
                return self._load(request)
            case Decode():
                return self._decode(request)
        return line

    def from_child(self, line: bytes) -> bytes:
        kind, batch_id = _about(line)
        if kind in ("result", "failed") and isinstance(batch_id, int):
            _unlink(self._files.pop(batch_id, ()))
        if kind == "loaded" and (free_mb := self._free_mb()) is not None:
            return self._encode(replace(parser(Loaded)(line), free_mb=free_mb))
        return line

    def ended(self) -> None:
        self._ended.set()
        self._fetches.shutdown(wait=False, cancel_futures=True)
        for batch_id in list(self._files):
            _unlink(self._files.pop(batch_id, ()))

    def _load(self, request: Load) -> bytes | None:
        free_mb = self._free_mb()
        if free_mb is None or free_mb >= self._needed_mb:
            return self._encode_request(replace(request, device_index=0))
        self._fail(None, "memory", f"the GPU of this node has {free_mb} MB free, and {self._needed_mb} MB are needed")
        return None

    def _decode(self, request: Decode) -> bytes | None:
        paths = [self._new_path() for _ in request.chunks]
        self._files[request.id] = paths
        try:
            chunks = tuple(self._fetches.map(self._fetch, request.chunks, paths))
            return self._encode_request(replace(request, chunks=chunks))
        except StorageUnreachable as error:
            self._fail_later(request.id, error.reason)
        except FileNotFoundError:
            self._fail(request.id, "input", "its prepared audio is gone; try the job again")
        except (OSError, StorageFull) as error:
            self._fail_later(request.id, f"its audio cannot be written to this node: {error}")
        _unlink(self._files.pop(request.id))
        return None

    def _fetch(self, chunk: ChunkRequest, path: Path) -> ChunkRequest:
        """The pieces joined, with all times as they were: they count from the first sample."""
        prepared = PreparedAudio.of(chunk.path)
        path.write_bytes(self._audio.get(prepared.job_id, prepared.chunk(chunk.pieces[0][0])))
        samples = sum(end - start for start, end in chunk.pieces)
        return replace(chunk, path=str(path), pieces=((0, samples),))

    def _new_path(self) -> Path:
        self._last_file += 1
        return self._folder / f"{self._last_file}.pcm"

    def _fail_later(self, batch_id: int, message: str) -> None:
        self._ended.wait(self._retry_s)
        self._fail(batch_id, "storage", message)

    def _fail(self, batch_id: int | None, kind: FailureKind, message: str) -> None:
        self._reply(self._encode(Failed(id=batch_id, kind=kind, message=message)))


class SpeakersTranslator:
    """Fetches the stretch of audio that a request is about, and keeps the samples where they are in the recording."""

    def __init__(self, audio: AudioObjects, folder: Path, reply: Reply) -> None:
        self._audio = audio
        self._folder = folder
        self._reply = reply
        self._parse_request: Callable[[bytes], VoiceRequest] = parser(VoiceRequest)
        self._encode_request: Callable[[VoiceRequest], bytes] = encoder(VoiceRequest)
        self._encode: Callable[[VoiceMessage], bytes] = encoder(VoiceMessage)
        self._stopped = threading.Event()

    def to_child(self, line: bytes, attachment: bytes | None) -> bytes | None:
        request = self._parse_request(line)
        path = self._folder / f"{request.id}"
        try:
            if isinstance(request, NameSpeakers):
                path.write_bytes(attachment or b"")
            else:
                self._fetch(request, path)
        except (OSError, ScrivanoError) as error:
            self._reply(self._encode(VoicesFailed(id=request.id, message=f"the audio cannot be read: {error}")))
            return None
        return self._encode_request(replace(request, path=str(path)))

    def from_child(self, line: bytes) -> bytes:
        self._delete_files()  # it has one request at a time
        return line

    def ended(self) -> None:
        self._stopped.set()
        self._delete_files()

    def _fetch(self, request: FindVoices, path: Path) -> None:
        prepared = PreparedAudio.of(request.path)
        with path.open("wb") as file:
            for start, _ in blocks(request.start, request.end):
                file.seek(start * BYTES_PER_SAMPLE)
                file.write(self._get(prepared.job_id, prepared.block(start)))
            file.truncate(request.end * BYTES_PER_SAMPLE)

    def _get(self, job_id: str, name: str) -> bytes:
        """Waits while the storage cannot be reached."""
        for _ in range(round(VOICES_WAIT_S / VOICES_RETRY_S)):
            with suppress(StorageUnreachable):
                return self._audio.get(job_id, name)
            if self._stopped.wait(VOICES_RETRY_S):
                break
        return self._audio.get(job_id, name)

    def _delete_files(self) -> None:
        _unlink(path for path in self._folder.iterdir() if path.name.isdecimal())


def _read(file: int, start: int, end: int) -> bytes:
    return os.pread(file, (end - start) * BYTES_PER_SAMPLE, start * BYTES_PER_SAMPLE)


def _unlink(paths: Iterable[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


def _about(line: bytes) -> tuple[Any, Any]:
    """Type and id of a message that is parsed elsewhere."""
    with suppress(ValueError, AttributeError):
        message = json.loads(line)
        return message.get("type"), message.get("id")
    return None, None
