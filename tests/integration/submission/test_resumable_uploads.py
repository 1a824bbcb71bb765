"""Uploads in several requests over a real store and disk: how far they are, whatever happens to a request."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Callable, Coroutine
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from store_support import Clock

from scrivano.domain.errors import (
    ChecksumMismatch,
    TooLarge,
    UploadConflict,
    UploadElsewhere,
    UploadNotFound,
    UploadTaken,
)
from scrivano.files.disk import sync
from scrivano.files.folder_blobs import FolderBlobs
from scrivano.store.uploads import PartialUpload, UploadStore
from scrivano.submission import resumable_uploads
from scrivano.submission.request_body import BodyInterrupted
from scrivano.submission.resumable_uploads import ResumableUploads
from scrivano.submission.tus_headers import Checksum

MB = 1024 * 1024
DATA = os.urandom(3 * MB + 5)


class Uploads:
    """One upload of `DATA`. `broken`: fsync fails."""

    def __init__(self, partials: UploadStore, folder: Path, clock: Clock) -> None:
        self.broken = False
        self.blobs = FolderBlobs(folder, fsync=self._sync)
        self.partials = partials
        self.uploads = ResumableUploads(partials, self.blobs, clock, timedelta(hours=1))

    def _sync(self, fd: int) -> None:
        if self.broken:
            raise OSError("the disk is broken")
        sync(fd)

    async def begin(self) -> None:
        await self.uploads.start("a", len(DATA), "")

    async def receive(self, offset: int, body: AsyncIterator[bytes], checksum: Checksum | None = None) -> PartialUpload:
        return await self.uploads.receive("a", offset, body, checksum=checksum, on_long=lambda: None)

    @property
    def offset(self) -> int:
        return self.partials.get("a").offset_bytes


@pytest.fixture
def uploads(partials: UploadStore, tmp_path: Path, clock: Clock) -> Uploads:
    return Uploads(partials, tmp_path, clock)


async def pieces(start: int, end: int, *, cut: bool = False) -> AsyncIterator[bytes]:
    for at in range(start, end, 50_000):
        yield DATA[at : min(at + 50_000, end)]
    if cut:
        raise BodyInterrupted


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(test())


def test_several_requests_make_one_file(uploads: Uploads) -> None:
    async def test() -> None:
        await uploads.begin()
        assert (await uploads.receive(0, pieces(0, 1_500_000))).offset_bytes == 1_500_000
        await uploads.receive(1_500_000, pieces(1_500_000, 2_000_000, cut=True))
        upload = await uploads.receive(uploads.offset, pieces(uploads.offset, len(DATA)))
        assert upload.whole
        assert await uploads.receive(len(DATA), pieces(0, 0)) == upload, "nothing more is fine"
        assert (await uploads.uploads.settle(upload)).sha256 == hashlib.sha256(DATA).hexdigest()
        assert await uploads.receive(len(DATA), pieces(0, 0)) == upload

    run(test)
    assert [path.name for path in uploads.blobs.path("a").parent.iterdir()] == ["a"]
    assert uploads.blobs.path("a").read_bytes() == DATA


def test_a_part_with_a_checksum_counts_whole_or_not_at_all(uploads: Uploads) -> None:
    right = Checksum("sha1", hashlib.sha1(DATA[:MB]).digest())

    async def test() -> None:
        await uploads.begin()
        with pytest.raises(ChecksumMismatch):
            await uploads.receive(0, pieces(5, MB + 5), right)
        await uploads.receive(0, pieces(0, MB - 5, cut=True), right)
        assert uploads.offset == 0
        await uploads.receive(0, pieces(0, MB), right)
        upload = await uploads.receive(MB, pieces(MB, len(DATA)))
        assert (await uploads.uploads.settle(upload)).sha256 == hashlib.sha256(DATA).hexdigest()

    run(test)


def test_bytes_that_are_not_synced_do_not_count(uploads: Uploads) -> None:
    async def test() -> None:
        await uploads.begin()
        await uploads.receive(0, pieces(0, MB))
        uploads.broken = True
        with pytest.raises(OSError, match="broken"):
            await uploads.receive(MB, pieces(MB, len(DATA)))

    run(test)
    assert uploads.offset == MB


def test_a_long_request_counts_while_it_goes_on(uploads: Uploads, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resumable_uploads, "CHECKPOINT_BYTES", MB)
    seen: list[int] = []

    async def pausing() -> AsyncIterator[bytes]:
        async for piece in pieces(0, 2_500_000):
            yield piece
        async with asyncio.timeout(60):
            while not uploads.offset:
                await asyncio.sleep(0.001)
        seen.append(uploads.offset)
        async for piece in pieces(2_500_000, len(DATA)):
            yield piece

    async def test() -> None:
        await uploads.begin()
        await uploads.receive(0, pausing())

    run(test)
    assert MB <= seen[0] <= 2_500_000
    assert uploads.offset == len(DATA)


def test_more_bytes_than_remain_are_refused(uploads: Uploads) -> None:
    async def too_much() -> AsyncIterator[bytes]:
        yield DATA
        yield b"x"

    async def test() -> None:
        await uploads.begin()
        with pytest.raises(TooLarge):
            await uploads.receive(0, too_much())

    run(test)
    assert uploads.offset == 0


def test_the_latest_of_many_requests_goes_on(uploads: Uploads) -> None:
    """None of the others touches the file from then on, and the bytes are those of the latest."""

    async def stuck(number: int, go_on: asyncio.Event, begun: asyncio.Event) -> AsyncIterator[bytes]:
        yield bytes([number]) * MB
        begun.set()
        await go_on.wait()
        yield bytes([number]) * MB

    async def test() -> None:
        await uploads.begin()
        go_on, tasks = asyncio.Event(), []
        for number in range(3):
            begun = asyncio.Event()
            tasks.append(asyncio.create_task(uploads.receive(0, stuck(number, go_on, begun))))
            await begun.wait()
        upload = await uploads.receive(0, pieces(0, len(DATA)))
        go_on.set()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(end) for end in ends] == [UploadTaken] * 3
        assert (await uploads.uploads.settle(upload)).sha256 == hashlib.sha256(DATA).hexdigest()

    run(test)
    assert uploads.blobs.path("a").read_bytes() == DATA


def test_many_requests_at_the_same_moment_leave_one_whole(uploads: Uploads) -> None:
    async def test() -> None:
        await uploads.begin()
        ends = await asyncio.gather(
            *(uploads.receive(0, pieces(0, len(DATA))) for _ in range(5)), return_exceptions=True
        )
        assert [type(end) for end in ends].count(PartialUpload) == 1
        assert {type(end) for end in ends} <= {PartialUpload, UploadTaken, UploadConflict}
        upload = await uploads.uploads.get("a")
        assert (await uploads.uploads.settle(upload)).sha256 == hashlib.sha256(DATA).hexdigest()

    run(test)


def test_what_is_deleted_takes_no_more(uploads: Uploads) -> None:
    async def deleting() -> AsyncIterator[bytes]:
        yield DATA[:MB]
        await uploads.uploads.delete("a")
        yield DATA[MB : 2 * MB]

    async def test() -> None:
        await uploads.begin()
        with pytest.raises((UploadTaken, UploadNotFound)):
            await uploads.receive(0, deleting())
        with pytest.raises(UploadNotFound):
            await uploads.receive(0, pieces(0, 5))

    run(test)
    assert list(uploads.blobs.path("a").parent.iterdir()) == []


def test_finishing_is_done_once_at_a_time(uploads: Uploads) -> None:
    calls: list[int] = []

    async def finish() -> str:
        calls.append(1)
        await asyncio.sleep(0.01)
        return "job"

    async def test() -> None:
        assert await asyncio.gather(*(uploads.uploads.finish_once("a", finish) for _ in range(3))) == ["job"] * 3

    run(test)
    assert len(calls) == 1


def test_a_server_without_the_bytes_says_where_to_go_on(uploads: Uploads, tmp_path: Path, clock: Clock) -> None:
    blobs = FolderBlobs(tmp_path / "other")
    other = ResumableUploads(uploads.partials, blobs, clock, timedelta(hours=1), shared=True)

    async def test() -> None:
        await uploads.begin()
        assert (await other.get_here("a")).offset_bytes == 0
        await uploads.receive(0, pieces(0, MB))
        with pytest.raises(UploadElsewhere):
            await other.get_here("a")
        with pytest.raises(UploadElsewhere):
            await other.receive("a", MB, pieces(MB, 2 * MB), checksum=None, on_long=lambda: None)
        whole = await uploads.receive(MB, pieces(MB, len(DATA)))
        with pytest.raises(UploadElsewhere):
            await other.settle(whole)
        assert (await uploads.uploads.settle(whole)).size_bytes == len(DATA)

    run(test)


def test_without_other_servers_an_upload_without_its_file_is_gone(uploads: Uploads) -> None:
    async def test() -> None:
        await uploads.begin()
        await uploads.receive(0, pieces(0, MB))
        uploads.blobs.delete("a")
        with pytest.raises(UploadNotFound):
            await uploads.uploads.get_here("a")
        with pytest.raises(UploadNotFound):
            await uploads.receive(MB, pieces(MB, 2 * MB))

    run(test)
