"""Write a file to disk while more of it arrives: the one way by which every protocol's bytes get there."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from scrivano.domain.errors import TooLarge, UploadTaken

__all__ = ["FLUSH_BYTES", "DiskSink", "SizeLimit", "upload_limit"]

# Written to disk in one step, off the event loop. Measured on a gigabyte: smaller steps spend more on switching
# threads, larger ones more memory without being faster.
FLUSH_BYTES = 2 * 1024 * 1024

# An upload is long once it takes more seconds than this, or has more than `FLUSH_BYTES`.
LONG_S = 0.5


@dataclass(frozen=True, slots=True)
class SizeLimit:
    """`max_bytes` None: no limit. `message`: the error for a larger file."""

    max_bytes: int | None
    message: str

    def check(self, size_bytes: int) -> None:
        """Raises `TooLarge`."""
        if self.max_bytes is not None and size_bytes > self.max_bytes:
            raise TooLarge(self.message)


def upload_limit(max_bytes: int | None) -> SizeLimit:
    return SizeLimit(max_bytes, f"the file is larger than {max_bytes} bytes, this server's MAX_UPLOAD_BYTES")


class DiskSink:
    """Takes the bytes of one file and writes them out. To be used on one event loop.

    `write` is awaited for one buffer at a time; its memoryview is valid until it returns. `prefix` is written ahead of
    the file and is not part of `size_bytes`.

    Two buffers take turns: one fills from the network while a thread writes the other. They are used again and again,
    because new ones would cost as much as the copy, in pages that the kernel has to clear.
    """

    def __init__(
        self, write: Callable[[memoryview], Awaitable[None]], limit: SizeLimit, *, prefix: bytes = b""
    ) -> None:
        self.size_bytes = 0
        self.has_written = False
        self._write = write
        self._limit = limit
        self._filling, self._spare = bytearray(prefix), bytearray()
        self._filled_bytes = len(prefix)
        self._work: asyncio.Task[None] | None = None
        self._stopped = False

    @property
    def buffered(self) -> memoryview:
        """What is not written yet. Release it before more is put."""
        return memoryview(self._filling)[: self._filled_bytes]

    def put(self, data: bytes | memoryview) -> None:
        """Copy bytes into the buffer; does nothing else, so that parsers can call it. Raises `TooLarge`."""
        self._limit.check(self.size_bytes + len(data))
        self.size_bytes += len(data)
        end = self._filled_bytes + len(data)
        if end > len(self._filling):
            self._filling.extend(bytes(end - len(self._filling)))
        memoryview(self._filling)[self._filled_bytes : end] = data
        self._filled_bytes = end

    async def receive(
        self,
        chunks: AsyncIterator[bytes],
        *,
        put: Callable[[bytes], None] | None = None,
        on_long: Callable[[], None] = lambda: None,
    ) -> None:
        """Read the chunks to their end, and write them meanwhile. The last bytes stay in the buffer until `drain`.

        `put` takes each chunk and puts the file's bytes in it; None: all bytes are the file's. `on_long` is called
        once, early, if this is a long upload: other work can then run concurrently. Raises `TooLarge`, `UploadTaken`,
        and what `chunks`, `put` and `write` raise.
        """
        put, long_at, is_long = put or self.put, time.monotonic() + LONG_S, False
        async for chunk in chunks:
            put(chunk)
            if self.size_bytes and not is_long and (self.size_bytes > FLUSH_BYTES or time.monotonic() > long_at):
                is_long = True
                on_long()
            if self._filled_bytes >= FLUSH_BYTES:
                await self._flush()

    async def drain(self) -> None:
        """Write out what is buffered. Raises `UploadTaken`, and what `write` raises."""
        await self._flush()
        await self.wait()

    async def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Start other work on the file, once the work before it has ended. Raises `UploadTaken` after `stop`."""
        try:
            await self.wait()
            if self._stopped:
                raise UploadTaken
        except BaseException:
            work.close()
            raise
        self._work = asyncio.create_task(work)

    async def wait(self) -> None:
        """Wait until no work on the file runs. Raises what that work raised."""
        if self._work is not None:
            # Shielded: a thread cannot be cancelled. The file is in use until it ends, even if the caller leaves.
            await asyncio.shield(self._work)

    async def stop(self) -> None:
        """Start no more work. When this returns, nothing touches the file any more. Never raises what work raised."""
        self._stopped = True
        if self._work is not None:
            await asyncio.wait({self._work})
            if not self._work.cancelled():
                # Marks it as retrieved: the caller fails already, with this exception or for another reason.
                self._work.exception()

    async def _flush(self) -> None:
        """Start to write what is buffered, once the buffer before it is written."""
        await self.wait()
        if self._filled_bytes:
            data = self.buffered
            self._filling, self._spare, self._filled_bytes = self._spare, self._filling, 0
            self.has_written = True
            await self.start(self._write_out(data))

    async def _write_out(self, data: memoryview) -> None:
        with data:  # released afterwards: a bytearray cannot grow while a view of it exists
            await self._write(data)
