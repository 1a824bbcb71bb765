"""What a node makes of the messages of children, with real files."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from scrivano.cluster.audio_names import PreparedAudio
from scrivano.cluster.translation import EngineTranslator, MediaTranslator, SpeakersTranslator
from scrivano.domain.chunk import side_path
from scrivano.domain.decoding import DecodingOptions
from scrivano.domain.errors import StorageUnreachable
from scrivano.files.audio_objects import AudioObjects, FolderAudio
from scrivano.files.folder_blobs import FolderBlobs
from scrivano.processes.messages import (
    ChunkCut,
    ChunkRequest,
    Decode,
    Decoded,
    EngineMessage,
    EngineRequest,
    Failed,
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
from scrivano.processes.voice_messages import FindVoices, NameSpeakers, VoiceRequest, VoicesFound

NAME = "/nowhere/prepared/job.2.pcm"
AUDIO = bytes(range(256)) * 400  # 51200 samples


class Lost(FolderAudio):
    """A place that cannot be reached."""

    def put(self, job_id: str, name: str, data: bytes) -> None:
        raise StorageUnreachable("it is gone")

    def get(self, job_id: str, name: str) -> bytes:
        raise StorageUnreachable("it is gone")


@dataclass
class Bench:
    folder: Path
    audio: AudioObjects
    replies: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        (self.folder / "node").mkdir()
        self.recordings = FolderBlobs(self.folder)
        self.node = self.folder / "node"

    def media(self) -> MediaTranslator:
        return MediaTranslator(self.recordings, self.audio, self.node, self.replies.append)

    def engine(self, free_mb: int | None = None, needed_mb: int = 0) -> EngineTranslator:
        return EngineTranslator(self.audio, self.node, self.replies.append, lambda: free_mb, needed_mb)

    def speakers(self) -> SpeakersTranslator:
        return SpeakersTranslator(self.audio, self.node, self.replies.append)

    def prepare(self, media: MediaTranslator, **changes: Any) -> Prepare:
        """Send the request; returns what the child gets, whose audio is then there."""
        with self.recordings.create("recording") as blob:
            blob.write(b"a recording")
            blob.commit()
        request = replace(Prepare(source="recording", target=NAME, max_audio_s=60), **changes)
        line = media.to_child(encoder(Prepare)(request), None)
        assert line is not None
        sent: Prepare = parser(Prepare)(line)
        Path(sent.target).write_bytes(AUDIO)
        Path(side_path(sent.target, 1)).write_bytes(AUDIO[::-1])
        return sent


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    audio = AudioObjects(FolderAudio(tmp_path))
    yield Bench(tmp_path, audio)
    audio.close()


def say(media: MediaTranslator, *messages: MediaMessage) -> list[MediaMessage]:
    encode, parse = encoder(MediaMessage), parser(MediaMessage)
    return [parse(media.from_child(encode(message))) for message in messages]


def stretch(start: int, end: int) -> bytes:
    return AUDIO[2 * start : 2 * end]


def test_a_recording_is_fetched_and_a_chunk_is_stored_before_it_is_announced(bench: Bench) -> None:
    media = bench.media()
    sent = bench.prepare(media)
    chunk = ChunkCut(index=0, pieces=((100, 200), (300, 500)))

    assert Path(sent.source).read_bytes() == b"a recording"
    assert say(media, Probed(duration=3.2), Preparing(), chunk)[2] == chunk
    assert bench.audio.get("job", PreparedAudio("job", 2).chunk(100)) == stretch(100, 200) + stretch(300, 500)
    media.ended()
    assert list(bench.node.iterdir()) == []


def test_each_side_has_its_own_chunks(bench: Bench) -> None:
    media = bench.media()
    bench.prepare(media, voices=True)
    say(media, Probed(duration=3.2, sides=2), *(ChunkCut(index=n, pieces=((0, 9),), side=n) for n in (0, 1)))

    names = [PreparedAudio("job", 2, side).chunk(0) for side in (0, 1)]
    assert [bench.audio.get("job", name) for name in names] == [stretch(0, 9), AUDIO[::-1][:18]]
    assert not list(bench.folder.glob("prepared/job/*block*"))


def test_where_voices_are_looked_for_all_audio_is_stored(bench: Bench) -> None:
    media = bench.media()
    bench.prepare(media, voices=True)
    cuts = [ChunkCut(index=n, pieces=((start, start + 10),)) for n, start in enumerate((1000, 20_000))]
    say(media, *cuts, Prepared(duration=3.2, chunks=2))
    speakers = bench.speakers()

    for number, (start, end) in enumerate([(0, 20_000), (20_000, 51_200)]):
        request = FindVoices(id=number, path=NAME, start=start, end=end)
        sent = parser(VoiceRequest)(sent_by(speakers, encoder(VoiceRequest)(request)))
        assert (sent.start, sent.end) == (start, end)
        assert Path(sent.path).read_bytes()[2 * start :] == stretch(start, end)
        speakers.from_child(encoder(VoicesFound)(VoicesFound(id=number, voices=b"")))
        assert not Path(sent.path).exists()


def test_the_voices_of_all_chunks_come_with_the_request_that_names_them(bench: Bench) -> None:
    request = NameSpeakers(id=3, path="/of/the/dispatcher.voices")

    sent = parser(VoiceRequest)(sent_by(bench.speakers(), encoder(VoiceRequest)(request), b"spool"))

    assert Path(sent.path).read_bytes() == b"spool"


def test_without_speech_there_is_a_chunk_to_guess_the_language_from(bench: Bench) -> None:
    media = bench.media()
    bench.prepare(media)
    say(media, Prepared(duration=3.2, chunks=0))

    assert bench.audio.get("job", PreparedAudio("job", 2).chunk(0)) == AUDIO


@pytest.mark.parametrize("what", ["no recording", "no storage"])
def test_what_cannot_be_prepared_is_said_in_the_place_of_the_child(bench: Bench, what: str) -> None:
    parse = parser(MediaMessage)
    if what == "no recording":
        media = bench.media()
        request = Prepare(source="other", target=NAME, max_audio_s=60)
        assert media.to_child(encoder(Prepare)(request), None) is None
        [reply] = map(parse, bench.replies)
        assert reply.code == "audio_gone"
    else:
        lost = AudioObjects(Lost(bench.folder))
        media = MediaTranslator(bench.recordings, lost, bench.node, bench.replies.append)
        bench.prepare(media)
        [message] = say(media, ChunkCut(index=0, pieces=((0, 10),)))
        assert message == PreparationFailed(code="storage_unreachable", message="it is gone")
        lost.close()


def sent_by(translator: EngineTranslator | SpeakersTranslator, line: bytes, attachment: bytes | None = None) -> bytes:
    """What the child gets."""
    sent = translator.to_child(line, attachment)
    assert sent is not None
    return sent


def batch(*starts: int) -> bytes:
    chunks = tuple(ChunkRequest(path=NAME, pieces=((start, start + 10), (start + 20, start + 25))) for start in starts)
    return encoder(EngineRequest)(Decode(id=7, options=DecodingOptions(), chunks=chunks))


def test_the_chunks_of_a_batch_are_files_until_it_is_decoded(bench: Bench) -> None:
    media, engine = bench.media(), bench.engine()
    bench.prepare(media)
    say(media, *(ChunkCut(index=n, pieces=((n * 100, n * 100 + 10), (n * 100 + 20, n * 100 + 25))) for n in (0, 1)))

    sent = parser(EngineRequest)(sent_by(engine, batch(100, 0)))
    paths = [Path(chunk.path) for chunk in sent.chunks]

    assert [path.read_bytes() for path in paths] == [stretch(n, n + 10) + stretch(n + 20, n + 25) for n in (100, 0)]
    assert [chunk.pieces for chunk in sent.chunks] == [((0, 15),), ((0, 15),)]
    answer = encoder(EngineMessage)(Decoded(id=7, results=(), seconds=0.5))
    assert engine.from_child(answer) == answer
    assert not any(path.exists() for path in paths)


def test_a_batch_whose_audio_cannot_be_read_now_comes_back(bench: Bench) -> None:
    lost = AudioObjects(Lost(bench.folder))
    engine = EngineTranslator(lost, bench.node, bench.replies.append, lambda: None, 0, retry_s=0.01)

    assert engine.to_child(batch(0), None) is None
    assert parser(EngineMessage)(bench.replies[0]) == Failed(id=7, kind="storage", message="it is gone")
    lost.close()


def test_a_batch_whose_audio_is_gone_is_refused(bench: Bench) -> None:
    assert bench.engine().to_child(batch(0), None) is None
    assert parser(EngineMessage)(bench.replies[0]).kind == "input"
    assert list(bench.node.iterdir()) == []


def test_a_model_is_loaded_where_the_gpu_has_room_for_it(bench: Bench) -> None:
    load = encoder(EngineRequest)(Load(model="nano", device="cuda", device_index=3))

    assert bench.engine(free_mb=1000, needed_mb=2000).to_child(load, None) is None
    assert parser(EngineMessage)(bench.replies[0]).kind == "memory"
    sent = sent_by(bench.engine(free_mb=3000, needed_mb=2000), load)
    assert parser(EngineRequest)(sent).device_index == 0  # the only one that Ray shows it
    loaded = encoder(EngineMessage)(Loaded(warm_up_s=1.5))
    assert parser(EngineMessage)(bench.engine(free_mb=700).from_child(loaded)) == Loaded(warm_up_s=1.5, free_mb=700)


class Slow(FolderBlobs):
    """Recordings that arrive when `go` is set."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.go = threading.Event()

    def fetch(self, blob_id: str) -> Any:
        assert self.go.wait(60)
        return super().fetch(blob_id)


def test_while_a_recording_is_fetched_the_dispatcher_hears_of_it(bench: Bench) -> None:
    bench.recordings = slow = Slow(bench.folder)

    def heard(line: bytes) -> None:
        bench.replies.append(line)
        slow.go.set()

    bench.prepare(MediaTranslator(bench.recordings, bench.audio, bench.node, heard, progress_s=0.01))

    assert parser(MediaMessage)(bench.replies[0]) == Preparing()
