"""Recordings on a real disk: committed whole, or not there at all."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from scrivano.domain.errors import StorageFull, TooLarge
from scrivano.files.disk_space import DiskSpace
from scrivano.files.folder_blobs import FolderBlobs
from scrivano.submission.disk_sink import FLUSH_BYTES, upload_limit
from scrivano.submission.recording import Recording

LONG = os.urandom(3 * FLUSH_BYTES + 17)


async def chunks(data: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(data), 100_000):
        yield data[at : at + 100_000]


def stored(folder: Path) -> list[str]:
    return [path.name for path in (folder / "uploads").iterdir()]


@pytest.mark.parametrize("data", [b"short", LONG], ids=["short", "long"])
@pytest.mark.parametrize("prefix", [b"", b"RIFF"])
def test_a_committed_recording_is_whole(tmp_path: Path, data: bytes, prefix: bytes) -> None:
    async def receive() -> None:
        async with Recording(FolderBlobs(tmp_path), "job", upload_limit(None), prefix=prefix) as recording:
            await recording.sink.receive(chunks(data))
            await recording.settle()
            blob = recording.commit()
            assert blob.sha256 == hashlib.sha256(prefix + data).hexdigest()
            assert blob.size_bytes == len(prefix + data)
            assert recording.size_bytes == len(data)

    asyncio.run(receive())
    assert stored(tmp_path) == ["job"]
    assert (tmp_path / "uploads" / "job").read_bytes() == prefix + data


@pytest.mark.parametrize("data", [b"short", LONG], ids=["short", "long"])
def test_a_recording_that_is_not_committed_leaves_nothing(tmp_path: Path, data: bytes) -> None:
    async def receive() -> None:
        async with Recording(FolderBlobs(tmp_path), "job", upload_limit(None)) as recording:
            await recording.sink.receive(chunks(data))

    asyncio.run(receive())
    assert stored(tmp_path) == []


def test_a_cancelled_recording_leaves_nothing(tmp_path: Path) -> None:
    """The file is removed after the write that is in progress, not under it."""

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield bytes(FLUSH_BYTES)
            await asyncio.sleep(0)

    async def receive() -> None:
        async with Recording(FolderBlobs(tmp_path), "job", upload_limit(None)) as recording:
            await recording.sink.receive(endless())

    async def cancel() -> None:
        task = asyncio.create_task(receive())
        while not stored(tmp_path):
            await asyncio.sleep(0.001)
        task.cancel()
        await asyncio.wait({task})
        assert task.cancelled()

    FolderBlobs(tmp_path)
    asyncio.run(cancel())
    assert stored(tmp_path) == []


def test_an_announced_size_is_refused_before_any_bytes_arrive(tmp_path: Path) -> None:
    disk_space = DiskSpace(tmp_path, min_free_bytes=100, free=lambda folder: 1000)
    recording = Recording(FolderBlobs(tmp_path, disk_space=disk_space), "job", upload_limit(950))

    recording.expect(900)
    with pytest.raises(StorageFull):
        recording.expect(901)
    with pytest.raises(TooLarge, match="larger than 950 bytes"):
        recording.expect(951)
