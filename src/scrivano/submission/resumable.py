"""Uploads that come in several requests: what has arrived is on disk and counts, whatever becomes of the connection.

Its row says how far an upload is; its file may be longer, and what lies behind that is written over. So one rule is
enough for cut connections, killed servers, power cuts, checksums that do not match, and two requests at once.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from base64 import b64decode
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from anyio.to_thread import run_sync
from starlette.requests import ClientDisconnect

from scrivano.domain.errors import BadRequest, ChecksumMismatch, TooLarge, UploadConflict, UploadNotFound, UploadTaken
from scrivano.files.blob_writer import Blob, PartWriter, RunningHash
from scrivano.files.blobs import Blobs
from scrivano.store.uploads import PartialUpload, UploadStore
from scrivano.submission.multipart import FLUSH_BYTES, LONG_S

__all__ = ["ALGORITHMS", "Checksum", "ResumableUploads", "parse_checksum", "parse_metadata"]

ALGORITHMS = ("sha256", "sha1", "md5")

CHECKPOINT_BYTES = 16 * 1024 * 1024
# So often what has come is made to count while more of it comes: no more is sent again after the server was killed.
CHECKPOINT_S = 5.0

# Running hashes of uploads that wait for more. One that is missing costs a second reading of the file.
HASHES_KEPT = 256

MAX_METADATA_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Checksum:
    """Of one request's body. `algorithm` is one of `ALGORITHMS`."""

    algorithm: str
    digest: bytes


def parse_checksum(text: str | None) -> Checksum | None:
    """`Upload-Checksum`: the algorithm and the digest in base64. Raises `BadRequest`."""
    if not text:
        return None
    algorithm, _, digest = text.strip().partition(" ")
    if algorithm not in ALGORITHMS:
        raise BadRequest(f"Upload-Checksum must name one of {', '.join(ALGORITHMS)}, and the digest in base64")
    try:
        return Checksum(algorithm, b64decode(digest, validate=True))
    except ValueError as error:
        raise BadRequest("the digest in Upload-Checksum must be base64") from error


def parse_metadata(text: str) -> dict[str, str]:
    """`Upload-Metadata`: names, each with its value in base64 behind a space, with commas between.

    Raises `BadRequest`. Values are UTF-8; what is not is replaced, as in a form.
    """
    if len(text) > MAX_METADATA_BYTES:
        raise BadRequest(f"Upload-Metadata is longer than {MAX_METADATA_BYTES} bytes")
    fields: dict[str, str] = {}
    for pair in text.split(",") if text.strip() else ():
        name, _, value = pair.strip().partition(" ")
        try:
            decoded = b64decode(value, validate=True).decode(errors="replace")
        except ValueError as error:
            raise BadRequest(f"the value of '{name}' in Upload-Metadata must be base64") from error
        if not name or name in fields:
            raise BadRequest("Upload-Metadata must be pairs of a name and a value in base64, each name once")
        fields[name] = decoded
    return fields


class ResumableUploads:
    """The uploads in several requests, and what this process remembers of those that it receives.

    To be used on one event loop. `expiry`: an upload is kept so long after its last bytes.
    """

    def __init__(self, partials: UploadStore, blobs: Blobs, now: Callable[[], datetime], expiry: timedelta) -> None:
        self._partials = partials
        self._blobs = blobs
        self._now = now
        self._expiry = expiry
        self._receiving: dict[str, _Receiving] = {}
        self._hashes: dict[str, RunningHash] = {}
        self._finishing: dict[str, asyncio.Task[str]] = {}

    async def begin(self, upload_id: str, size_bytes: int, metadata: str, owner: str | None = None) -> PartialUpload:
        """Raises `StorageFull`."""
        upload = PartialUpload(
            id=upload_id,
            size_bytes=size_bytes,
            offset_bytes=0,
            metadata=metadata,
            created_at=self._now(),
            expires_at=self._now() + self._expiry,
            owner=owner,
        )
        await run_sync(self._partials.add, upload)
        return upload

    async def get(self, upload_id: str, owner: str | None = None) -> PartialUpload:
        """`owner`: only if it is this API key's. Raises `UploadNotFound`."""
        return await run_sync(partial(self._partials.get, upload_id, owner=owner))

    async def pending(self) -> Sequence[PartialUpload]:
        """Those that are not a job yet, oldest first."""
        return await run_sync(self._partials.pending)

    async def receive(
        self,
        upload_id: str,
        offset_bytes: int,
        body: AsyncIterator[bytes],
        *,
        checksum: Checksum | None,
        on_long: Callable[[], None],
    ) -> PartialUpload:
        """Add a request's body to the upload; returns how it stands then, fsynced.

        Of a body that is cut off, what has come counts; with a `checksum` all of it or nothing. An earlier request
        that still sends (its connection may be dead) ends with `UploadTaken`. `on_long` is called once, early, when
        this takes long. Raises `UploadNotFound`, `UploadConflict`, `UploadTaken`, `ChecksumMismatch`, `TooLarge`,
        `StorageFull`.
        """
        _check_offset(await self.get(upload_id), offset_bytes)
        receiving = _Receiving(checksum, partial(self._save, upload_id))
        earlier, self._receiving[upload_id] = self._receiving.get(upload_id), receiving
        try:
            await receiving.go_after(earlier)
            upload = await self.get(upload_id)
            _check_offset(upload, offset_bytes)
            if upload.whole:
                return upload
            with await run_sync(self._blobs.extend, upload_id, offset_bytes, self._running(upload)) as writer:
                await receiving.run(body, writer, upload.size_bytes, on_long)
            return await self.get(upload_id)
        except FileNotFoundError as error:
            raise UploadNotFound(upload_id) from error
        finally:
            if self._receiving.get(upload_id) is receiving:
                del self._receiving[upload_id]

    async def settle(self, upload: PartialUpload) -> Blob:
        """Put a whole upload in its place, as `Blobs.complete`. Raises `UploadNotFound`, `StorageFull`."""
        running = self._hashes.pop(upload.id, None) or RunningHash()
        try:
            return await run_sync(self._blobs.complete, upload.id, running)
        except FileNotFoundError as error:
            raise UploadNotFound(upload.id) from error

    async def once(self, upload_id: str, finish: Callable[[], Coroutine[Any, Any, str]]) -> str:
        """What `finish` returns. Who asks while it works for another gets the same answer; it works to its end."""
        task = self._finishing.get(upload_id)
        if task is None:
            task = self._finishing[upload_id] = asyncio.create_task(finish())
            task.add_done_callback(lambda _: self._finishing.pop(upload_id))
        return await asyncio.shield(task)

    async def delete(self, upload_id: str) -> None:
        """End the requests that send to it, and forget it. Raises `UploadNotFound`."""
        if receiving := self._receiving.get(upload_id):
            await receiving.stop()
        if finishing := self._finishing.get(upload_id):
            await asyncio.wait({finishing})
        self._hashes.pop(upload_id, None)
        upload = await run_sync(self._partials.delete, upload_id)
        if upload.job_id is None:
            await run_sync(self._blobs.delete, upload_id)

    def _running(self, upload: PartialUpload) -> RunningHash:
        known = self._hashes.get(upload.id)
        return known.copy() if known is not None and known.size_bytes == upload.offset_bytes else RunningHash()

    async def _save(self, upload_id: str, writer: PartWriter) -> None:
        """From now on, what was written counts. Raises `UploadNotFound`, `StorageFull`."""
        await run_sync(writer.sync)
        await run_sync(self._partials.received, upload_id, writer.position, self._now() + self._expiry)
        self._hashes[upload_id] = writer.running_hash.copy()
        while len(self._hashes) > HASHES_KEPT:
            del self._hashes[next(iter(self._hashes))]


class _Receiving:
    """One request's body on its way to disk: written and hashed while more of it comes.

    Whatever touches the file is one task at a time, and none begins after `stop`: the next request has the file then.
    """

    def __init__(self, checksum: Checksum | None, save: Callable[[PartWriter], Coroutine[Any, Any, None]]) -> None:
        self._checksum = checksum
        self._save = save
        self._sum = hashlib.new(checksum.algorithm, usedforsecurity=False) if checksum else None
        self._pending = bytearray()
        self._saved = 0
        self._saved_at = time.monotonic()
        self._stopped = False
        self._working: asyncio.Task[None] | None = None

    async def stop(self) -> None:
        """When this returns, it touches the file no more."""
        self._stopped = True
        if self._working is not None:
            await asyncio.wait({self._working})

    async def go_after(self, earlier: _Receiving | None) -> None:
        if earlier is not None:
            await self._work(earlier.stop())
        await self._settled()

    async def run(
        self, body: AsyncIterator[bytes], writer: PartWriter, size_bytes: int, on_long: Callable[[], None]
    ) -> None:
        began_at = self._saved = writer.position
        try:
            whole = await self._receive(body, writer, size_bytes - began_at, on_long)
            if self._checksum is None or whole:
                await self._flush(writer)
                await self._settled()
                self._verify()
                if writer.position > self._saved:
                    await self._work(self._save(writer))
                    await self._settled()
        finally:
            await self.stop()

    async def _receive(
        self, body: AsyncIterator[bytes], writer: PartWriter, room: int, on_long: Callable[[], None]
    ) -> bool:
        """Whether the body came whole. Raises `TooLarge` where it does not fit into the room."""
        long_at, received, told = time.monotonic() + LONG_S, 0, False
        try:
            async for data in body:
                received += len(data)
                if received > room:
                    raise TooLarge(f"more bytes than Upload-Length leaves room for, which is {room}")
                self._pending += data
                if not told and (received > FLUSH_BYTES or time.monotonic() > long_at):
                    told = True
                    on_long()
                if len(self._pending) >= FLUSH_BYTES:
                    await self._flush(writer)
        except ClientDisconnect:
            return False
        return True

    async def _flush(self, writer: PartWriter) -> None:
        """Begin to write what has come, once what came before is written."""
        if self._pending:
            data, self._pending = self._pending, bytearray()
            await self._work(self._write(data, writer))

    async def _write(self, data: bytearray, writer: PartWriter) -> None:
        await run_sync(self._put, data, writer)
        if self._checksum is None and self._is_due(writer):
            await self._save(writer)
            self._saved, self._saved_at = writer.position, time.monotonic()

    def _is_due(self, writer: PartWriter) -> bool:
        much = writer.position >= self._saved + CHECKPOINT_BYTES
        return much or time.monotonic() >= self._saved_at + CHECKPOINT_S

    def _put(self, data: bytearray, writer: PartWriter) -> None:
        writer.write(data)
        if self._sum is not None:
            self._sum.update(data)

    def _verify(self) -> None:
        """Raises `ChecksumMismatch`."""
        if self._checksum and self._sum and self._sum.digest() != self._checksum.digest:
            raise ChecksumMismatch

    async def _work(self, task: Coroutine[Any, Any, None]) -> None:
        """Begin it, after what was begun before."""
        await self._settled()
        if self._stopped:
            task.close()
            raise UploadTaken
        self._working = asyncio.create_task(task)

    async def _settled(self) -> None:
        if self._working is not None:
            await asyncio.shield(self._working)  # a thread cannot be called back


def _check_offset(upload: PartialUpload, offset_bytes: int) -> None:
    if upload.offset_bytes != offset_bytes:
        raise UploadConflict(upload.offset_bytes, offset_bytes)
