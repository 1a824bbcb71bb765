"""The files of uploads in several requests. Bytes that were acknowledged are on disk, whatever happens to a connection.

The upload's row says how many bytes count. Its file may be longer: bytes behind that offset are overwritten. This one
rule is enough for lost connections, killed servers, power cuts, wrong checksums, and two requests at the same time.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from anyio.to_thread import run_sync

from scrivano.domain.errors import ChecksumMismatch, UploadConflict, UploadElsewhere, UploadNotFound
from scrivano.files.blob_writer import Blob, PartWriter, RunningHash
from scrivano.files.blobs import Blobs
from scrivano.store.uploads import PartialUpload, UploadStore
from scrivano.submission.disk_sink import DiskSink, SizeLimit
from scrivano.submission.request_body import BodyInterrupted
from scrivano.submission.tus_headers import Checksum

__all__ = ["ResumableUploads", "remaining_limit"]

# While a request sends, its bytes are acknowledged this often, so that at most this much has to be sent again after
# the server was killed.
CHECKPOINT_BYTES = 16 * 1024 * 1024
CHECKPOINT_S = 5.0

# Running hashes of uploads that wait for more bytes. If one is missing, the file has to be read again at the end.
MAX_HASHES = 256


class ResumableUploads:
    """To be used on one event loop. `expiry`: how long an upload is stored after its last bytes. `shared`: other
    servers use the same database, and may have the bytes of an upload."""

    def __init__(
        self,
        uploads: UploadStore,
        blobs: Blobs,
        now: Callable[[], datetime],
        expiry: timedelta,
        *,
        shared: bool = False,
    ) -> None:
        self._uploads = uploads
        self._blobs = blobs
        self._now = now
        self._expiry = expiry
        self._shared = shared
        self._receiving: dict[str, _Receiving] = {}
        self._hashes: dict[str, RunningHash] = {}
        self._finishing: dict[str, asyncio.Task[str]] = {}

    async def start(self, upload_id: str, size_bytes: int, metadata: str, owner: str | None = None) -> PartialUpload:
        """Raises `StorageFull`."""
        self._blobs.admit(size_bytes)
        upload = PartialUpload(
            id=upload_id,
            size_bytes=size_bytes,
            offset_bytes=0,
            metadata=metadata,
            created_at=self._now(),
            expires_at=self._now() + self._expiry,
            owner=owner,
        )
        await run_sync(self._uploads.add, upload)
        return upload

    async def get(self, upload_id: str, owner: str | None = None) -> PartialUpload:
        """`owner`: only if the upload belongs to this API key. Raises `UploadNotFound`."""
        return await run_sync(partial(self._uploads.get, upload_id, owner=owner))

    async def get_here(self, upload_id: str, owner: str | None = None) -> PartialUpload:
        """As `get`, of an upload that this server can continue. Raises `UploadNotFound`, `UploadElsewhere`."""
        upload = await self.get(upload_id, owner)
        if upload.whole or not upload.offset_bytes or await run_sync(self._blobs.has_part, upload_id):
            return upload
        later = await self.get(upload_id, owner)  # its last bytes may have arrived meanwhile
        if later.whole:
            return later
        raise self._missing(upload_id)

    async def pending(self) -> Sequence[PartialUpload]:
        """Uploads that are not a job yet, oldest first."""
        return await run_sync(self._uploads.pending)

    async def receive(
        self,
        upload_id: str,
        offset_bytes: int,
        chunks: AsyncIterator[bytes],
        *,
        checksum: Checksum | None,
        on_long: Callable[[], None],
    ) -> PartialUpload:
        """Add a request's body to the upload; returns the upload as it is then, fsynced.

        If the body is interrupted, the bytes that arrived count; with a `checksum`, all of the body counts or nothing.
        An earlier request that still sends (its connection may be dead) ends with `UploadTaken`. `on_long` is called
        once, early, if this takes long. Raises `UploadNotFound`, `UploadElsewhere`, `UploadConflict`, `UploadTaken`,
        `ChecksumMismatch`, `TooLarge`, `StorageFull`.
        """
        upload = await self.get(upload_id)
        _check_offset(upload, offset_bytes)
        limit = remaining_limit(upload.size_bytes - offset_bytes)
        receiving = _Receiving(limit, checksum, partial(self._save, upload_id))
        earlier, self._receiving[upload_id] = self._receiving.get(upload_id), receiving
        try:
            await receiving.wait_for(earlier)
            upload = await self.get(upload_id)  # again: the earlier request may have moved the offset
            _check_offset(upload, offset_bytes)
            if upload.whole:
                return upload
            with await run_sync(self._blobs.extend, upload_id, offset_bytes, self._running_hash(upload)) as writer:
                await receiving.run(chunks, writer, on_long)
            return await self.get(upload_id)
        except FileNotFoundError as error:
            raise self._missing(upload_id) from error
        finally:
            if self._receiving.get(upload_id) is receiving:
                del self._receiving[upload_id]

    async def settle(self, upload: PartialUpload) -> Blob:
        """Store a whole upload, see `Blobs.complete`.

        Raises `UploadNotFound`, `UploadElsewhere`, `StorageFull`, `StorageUnreachable`.
        """
        running = self._hashes.pop(upload.id, None) or RunningHash()
        try:
            return await run_sync(self._blobs.complete, upload.id, running)
        except FileNotFoundError as error:
            raise self._missing(upload.id) from error

    async def finish_once(self, upload_id: str, finish: Callable[[], Coroutine[Any, Any, str]]) -> str:
        """What `finish` returns. Calls for the same upload share one run of it, which no cancelled call ends."""
        task = self._finishing.get(upload_id)
        if task is None:
            task = self._finishing[upload_id] = asyncio.create_task(finish())
            task.add_done_callback(lambda _: self._finishing.pop(upload_id))
        return await asyncio.shield(task)

    async def delete(self, upload_id: str) -> None:
        """End the requests that send to the upload, and delete it. Raises `UploadNotFound`."""
        if receiving := self._receiving.get(upload_id):
            await receiving.stop()
        if finishing := self._finishing.get(upload_id):
            await asyncio.wait({finishing})
        self._hashes.pop(upload_id, None)
        upload = await run_sync(self._uploads.delete, upload_id)
        if upload.job_id is None:  # else the file is the job's
            await run_sync(self._blobs.delete, upload_id)

    def _missing(self, upload_id: str) -> UploadNotFound | UploadElsewhere:
        """The upload is known, but its bytes are not here."""
        return UploadElsewhere(upload_id) if self._shared else UploadNotFound(upload_id)

    def _running_hash(self, upload: PartialUpload) -> RunningHash:
        """A copy: if the request fails, the stored one still belongs to the offset that counts."""
        stored = self._hashes.get(upload.id)
        return stored.copy() if stored is not None and stored.size_bytes == upload.offset_bytes else RunningHash()

    async def _save(self, upload_id: str, writer: PartWriter) -> None:
        """From now on, the bytes that were written count. Raises `UploadNotFound`, `StorageFull`."""
        await run_sync(writer.sync)
        await run_sync(self._uploads.set_offset, upload_id, writer.position, self._now() + self._expiry)
        self._hashes[upload_id] = writer.running_hash.copy()
        while len(self._hashes) > MAX_HASHES:
            del self._hashes[next(iter(self._hashes))]


class _Receiving:
    """One request's body on its way to disk.

    Its sink runs one piece of work on the file at a time, and starts none after `stop`: then the file belongs to the
    next request.
    """

    def __init__(
        self,
        limit: SizeLimit,
        checksum: Checksum | None,
        save: Callable[[PartWriter], Coroutine[Any, Any, None]],
    ) -> None:
        self._sink = DiskSink(self._write, limit)
        self._checksum = checksum
        self._sum = hashlib.new(checksum.algorithm, usedforsecurity=False) if checksum else None
        self._save = save
        self._writer: PartWriter | None = None
        self._saved_bytes = 0
        self._saved_at = time.monotonic()

    async def stop(self) -> None:
        """When this returns, this request does not touch the file any more."""
        await self._sink.stop()

    async def wait_for(self, earlier: _Receiving | None) -> None:
        """Stop the earlier request. Raises `UploadTaken` if a later request has stopped this one meanwhile."""
        if earlier is not None:
            # As work of this sink, so that a third request, which stops this one, waits for the first one too.
            await self._sink.start(earlier.stop())
        await self._sink.wait()

    async def run(self, chunks: AsyncIterator[bytes], writer: PartWriter, on_long: Callable[[], None]) -> None:
        """Write the body and save what counts. Raises what `ResumableUploads.receive` does."""
        self._writer, self._saved_bytes = writer, writer.position
        try:
            try:
                await self._sink.receive(chunks, on_long=on_long)
            except BodyInterrupted:
                if self._checksum is not None:
                    return  # a part of the body cannot be verified, so nothing of it counts
            await self._sink.drain()
            if self._checksum and self._sum and self._sum.digest() != self._checksum.digest:
                raise ChecksumMismatch
            if writer.position > self._saved_bytes:
                await self._sink.start(self._save(writer))
                await self._sink.wait()
        finally:
            await self.stop()

    async def _write(self, data: memoryview) -> None:
        writer = self._writer
        assert writer is not None
        await run_sync(self._write_in_thread, data, writer)
        much = writer.position >= self._saved_bytes + CHECKPOINT_BYTES
        if self._checksum is None and (much or time.monotonic() >= self._saved_at + CHECKPOINT_S):
            await self._save(writer)
            self._saved_bytes, self._saved_at = writer.position, time.monotonic()

    def _write_in_thread(self, data: memoryview, writer: PartWriter) -> None:
        writer.write(data)
        if self._sum is not None:
            self._sum.update(data)


def remaining_limit(remaining_bytes: int) -> SizeLimit:
    """What one request may send. A negative number (an offset behind the end) allows nothing."""
    allowed_bytes = max(remaining_bytes, 0)
    return SizeLimit(allowed_bytes, f"more bytes than the {allowed_bytes} that remain of Upload-Length")


def _check_offset(upload: PartialUpload, offset_bytes: int) -> None:
    if upload.offset_bytes != offset_bytes:
        raise UploadConflict(upload.offset_bytes, offset_bytes)
