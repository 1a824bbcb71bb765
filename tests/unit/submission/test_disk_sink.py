"""The sink over a `write` that records, waits or fails: no disk."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest

from scrivano.domain.errors import StorageFull, TooLarge, UploadTaken
from scrivano.submission import disk_sink
from scrivano.submission.disk_sink import FLUSH_BYTES, DiskSink, upload_limit

KB = 1024


class Disk:
    """`write` waits while `go` is not set, and raises `error` if there is one."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.sizes: list[int] = []
        self.writing = 0
        self.error: Exception | None = None
        self.go = asyncio.Event()
        self.go.set()

    async def write(self, data: memoryview) -> None:
        assert not self.writing, "one write at a time"
        self.writing += 1
        try:
            await self.go.wait()
            if self.error is not None:
                raise self.error
            self.data += data
            self.sizes.append(len(data))
        finally:
            self.writing -= 1


async def chunks(data: bytes, size_bytes: int = 64 * KB) -> AsyncIterator[bytes]:
    for at in range(0, len(data), size_bytes):
        yield data[at : at + size_bytes]
        await asyncio.sleep(0)


def run(test: Callable[[Disk], Coroutine[Any, Any, None]]) -> None:
    async def with_disk() -> None:
        await test(Disk())

    asyncio.run(with_disk())


def sink_to(disk: Disk, max_bytes: int | None = None, prefix: bytes = b"") -> DiskSink:
    return DiskSink(disk.write, upload_limit(max_bytes), prefix=prefix)


DATA = bytes(range(256)) * (3 * FLUSH_BYTES // 256) + b"end"


def test_all_bytes_are_written_in_order_after_the_prefix() -> None:
    async def test(disk: Disk) -> None:
        sink = sink_to(disk, prefix=b"RIFF")
        await sink.receive(chunks(DATA))
        await sink.drain()
        assert disk.data == b"RIFF" + DATA
        assert sink.size_bytes == len(DATA)
        assert len(disk.sizes) > 1

    run(test)


def test_a_short_file_stays_in_the_buffer() -> None:
    async def test(disk: Disk) -> None:
        sink = sink_to(disk, prefix=b"RIFF")
        await sink.receive(chunks(b"short"))
        assert not sink.has_written
        assert bytes(sink.buffered) == b"RIFFshort"
        assert not disk.data

    run(test)


def test_more_is_received_while_the_disk_is_busy_and_no_more_than_one_buffer() -> None:
    async def test(disk: Disk) -> None:
        disk.go.clear()
        sink = sink_to(disk)
        receiving = asyncio.create_task(sink.receive(chunks(DATA)))
        for _ in range(1000):
            await asyncio.sleep(0)
        assert 2 * FLUSH_BYTES <= sink.size_bytes < 2 * FLUSH_BYTES + 128 * KB
        disk.go.set()
        await receiving
        await sink.drain()
        assert disk.data == DATA

    run(test)


def test_a_file_over_the_limit_is_refused_at_once() -> None:
    async def test(disk: Disk) -> None:
        sink = sink_to(disk, 100)
        sink.put(bytes(100))
        with pytest.raises(TooLarge, match="larger than 100 bytes, this server's MAX_UPLOAD_BYTES"):
            sink.put(b"x")

    run(test)


def test_a_full_disk_is_reported_to_the_receiver() -> None:
    async def test(disk: Disk) -> None:
        disk.error = StorageFull("full")
        sink = sink_to(disk)
        with pytest.raises(StorageFull):
            await sink.receive(chunks(DATA))
        await sink.stop()

    run(test)


@pytest.mark.parametrize(("size_bytes", "calls"), [(FLUSH_BYTES, 0), (FLUSH_BYTES + 1, 1), (3 * FLUSH_BYTES, 1)])
def test_a_large_upload_is_announced_once(size_bytes: int, calls: int) -> None:
    async def test(disk: Disk) -> None:
        announced: list[int] = []
        sink = sink_to(disk)
        await sink.receive(chunks(bytes(size_bytes)), on_long=lambda: announced.append(sink.size_bytes))
        assert len(announced) == calls
        assert all(FLUSH_BYTES < at <= FLUSH_BYTES + 64 * KB for at in announced)
        await sink.drain()

    run(test)


def test_a_slow_upload_is_announced_but_not_before_its_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk_sink, "LONG_S", 0.0)

    async def test(disk: Disk) -> None:
        sink, announced = sink_to(disk), list[int]()

        def put(chunk: bytes) -> None:  # as a form's parser: the first chunks are no part of the file
            sink.put(chunk if chunk.startswith(b"file") else b"")

        async def form() -> AsyncIterator[bytes]:
            for chunk in (b"head", b"field", b"file1", b"file2"):
                yield chunk

        await sink.receive(form(), put=put, on_long=lambda: announced.append(sink.size_bytes))
        assert announced == [5]

    run(test)


def test_a_stopped_sink_writes_no_more() -> None:
    async def test(disk: Disk) -> None:
        disk.go.clear()
        sink = sink_to(disk)
        receiving = asyncio.create_task(sink.receive(chunks(DATA)))
        while not disk.writing:
            await asyncio.sleep(0)
        stopping = asyncio.create_task(sink.stop())
        await asyncio.sleep(0)
        assert not stopping.done(), "a write in progress is waited for"
        disk.go.set()
        await stopping
        written = len(disk.data)
        with pytest.raises(UploadTaken):
            await receiving
        assert len(disk.data) == written

    run(test)


def test_a_cancelled_receiver_does_not_cancel_the_write() -> None:
    """A thread writes: it would still use the file that its owner then closes."""

    async def test(disk: Disk) -> None:
        disk.go.clear()
        sink = sink_to(disk)
        receiving = asyncio.create_task(sink.receive(chunks(DATA)))
        while sink.size_bytes < 2 * FLUSH_BYTES:
            await asyncio.sleep(0)
        receiving.cancel()
        await asyncio.wait({receiving})
        assert disk.writing
        disk.go.set()
        await sink.stop()
        assert not disk.writing

    run(test)
