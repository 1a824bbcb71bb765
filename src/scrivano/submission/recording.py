"""The file of an upload in one request, on its way to its final place."""

from __future__ import annotations

import time
from types import TracebackType

from anyio.to_thread import run_sync

from scrivano.files.blob_writer import Blob
from scrivano.files.blobs import Blobs, NewBlob
from scrivano.submission.disk_sink import DiskSink, SizeLimit

__all__ = ["Recording"]


class Recording:
    """Use it as an async context manager, which removes the file unless it was committed.

    Put the bytes into `sink`, then `settle`, then `commit`. `prefix` is written ahead of them: the header that a
    headless recording lacks. `started_at` is monotonic.

    A recording that fits into one buffer is not written before `commit`, which then does everything in one thread step.
    """

    def __init__(self, blobs: Blobs, blob_id: str, limit: SizeLimit, *, prefix: bytes = b"") -> None:
        self.blob_id = blob_id
        self.limit = limit
        self.started_at = time.monotonic()
        self.sink = DiskSink(self._write, limit, prefix=prefix)
        self._blobs = blobs
        self._writer: NewBlob | None = None

    async def __aenter__(self) -> Recording:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self.sink.stop()
        if self._writer is not None:
            await run_sync(self._writer.abort)

    @property
    def size_bytes(self) -> int:
        """Bytes received so far, without the prefix."""
        return self.sink.size_bytes

    def expect(self, size_bytes: int) -> None:
        """Check the announced size before any bytes arrive. Raises `TooLarge`, `StorageFull`, `StorageUnreachable`."""
        self.limit.check(size_bytes)
        self._blobs.admit(size_bytes)

    async def settle(self) -> None:
        """Wait until all but a commit is done. Raises `StorageFull`."""
        if self.sink.has_written:
            await self.sink.drain()

    def commit(self) -> Blob:
        """Store the settled file. Blocks; after it, the recording is stored, whatever happens.

        Raises `StorageFull`, `StorageUnreachable`.
        """
        if self._writer is not None:
            blob = self._writer.commit()
            self._writer = None
            return blob
        with self._blobs.create(self.blob_id) as writer:
            writer.write(self.sink.buffered)
            return writer.commit()

    async def _write(self, data: memoryview) -> None:
        await run_sync(self._write_in_thread, data)

    def _write_in_thread(self, data: memoryview) -> None:
        if self._writer is None:
            self._writer = self._blobs.create(self.blob_id)
        self._writer.write(data)
