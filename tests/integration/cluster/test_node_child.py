"""A node's end with real children: those of the bundled model, and what is stored of their audio."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from media_files import RECORDINGS
from served import until

from scrivano.cluster.node_child import NodeChild, NodeOptions
from scrivano.cluster.node_folder import NodeFolder
from scrivano.domain.decoding import DecodingOptions
from scrivano.files.folder_blobs import FolderBlobs
from scrivano.processes.messages import (
    ChunkCut,
    ChunkRequest,
    Decode,
    Decoded,
    EngineMessage,
    EngineRequest,
    Load,
    Loaded,
    MediaMessage,
    Prepare,
    Prepared,
    encoder,
    parser,
)

MODULES = {"media": "scrivano.media.child", "engine": "scrivano.engines.worker", "speakers": "scrivano.speakers.child"}
NAME = "/nowhere/job.1.pcm"


@contextmanager
def node(folder: Path, **options: object) -> Iterator[NodeChild]:
    (folder / "shared").mkdir(exist_ok=True)
    url = f"file://{folder / 'shared'}"
    child = NodeChild(NodeOptions(modules=MODULES, blob_url=url, folder=folder / "node", **options))  # type: ignore[arg-type]
    try:
        yield child
    finally:
        child.close()


def messages(child: NodeChild, parse: Callable[[bytes], object], last: type) -> list[object]:
    """Until one of this type."""
    found: list[object] = []

    def read() -> bool:
        found.extend(map(parse, child.read().messages))
        return any(isinstance(one, last) for one in found)

    until(read)
    return found


def ended(child: NodeChild) -> int:
    codes: list[int] = []

    def read() -> bool:
        codes.extend(code for code in [child.read().returncode] if code is not None)
        return bool(codes)

    until(read)
    return codes[0]


def store(folder: Path, name: str) -> None:
    (folder / "shared").mkdir(exist_ok=True)
    with FolderBlobs(folder / "shared").create("recording") as blob:
        blob.write((RECORDINGS / name).read_bytes())
        blob.commit()


def test_a_recording_is_prepared_on_one_node_and_decoded_on_another(tmp_path: Path) -> None:
    store(tmp_path, "en-exact-0.flac")
    with node(tmp_path, kind="media") as media:
        for _ in range(2):  # the same actor prepares one recording after the other
            assert media.start()
            media.write(encoder(Prepare)(Prepare(source="recording", target=NAME, max_audio_s=600)))
            sent = messages(media, parser(MediaMessage), Prepared)
            assert ended(media) == 0
    chunks = [one for one in sent if isinstance(one, ChunkCut)]
    requests = tuple(ChunkRequest(path=NAME, pieces=chunk.pieces) for chunk in chunks)

    with node(tmp_path, kind="engine") as engine:
        engine.start()
        encode, parse = encoder(EngineRequest), parser(EngineMessage)
        engine.write(encode(Load(model="nano", cpu_threads=1)))
        messages(engine, parse, Loaded)
        engine.write(encode(Decode(id=1, options=DecodingOptions(), chunks=requests)))
        [answer] = [one for one in messages(engine, parse, Decoded) if isinstance(one, Decoded)]

        assert len(answer.results) == len(chunks) > 0
        assert all(result.segments for result in answer.results)
        engine.kill()
        assert ended(engine) == -signal.SIGKILL
    assert list((tmp_path / "node").iterdir()) == []


def test_a_child_is_killed_before_it_has_anything_to_do(tmp_path: Path) -> None:
    with node(tmp_path, kind="media") as media:
        media.start()
        media.kill()

        assert ended(media) == -signal.SIGKILL


def test_a_folder_of_a_killed_process_is_deleted_by_the_next_one(tmp_path: Path) -> None:
    running, left = NodeFolder(tmp_path), tmp_path / "left"
    left.mkdir()
    (left / "lock").touch()

    later = NodeFolder(tmp_path)

    assert {path.name for path in tmp_path.iterdir()} == {running.path.name, later.path.name}
    for folder in (running, later):
        folder.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["media", "engine", "speakers"])
def test_each_kind_of_child_starts(tmp_path: Path, kind: str) -> None:
    with node(tmp_path, kind=kind) as child:
        assert child.start()
        assert child.read().returncode is None
