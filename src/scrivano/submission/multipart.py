"""A multipart form as it arrives: the file goes from the socket to its final folder, once; the fields are kept."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

from anyio.to_thread import run_sync
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from scrivano.domain.errors import BadRequest, MultipartError, TooLarge
from scrivano.files.blob_writer import Blob, BlobWriter
from scrivano.files.blobs import Blobs

MAX_FIELD_BYTES = 64 * 1024
# Of all fields together: they are held in memory.
MAX_FIELDS_BYTES = 1024 * 1024

MAX_PARTS = 1000

# Written to disk in one step, off the event loop.
FLUSH_BYTES = 2 * 1024 * 1024

# An upload that takes longer, or more than `FLUSH_BYTES`, is a long one.
LONG_S = 0.5


class Upload:
    """One request's form: `fields` by name (the last of a name wins), `repeated` with all values of each name, and the
    file part on its way to disk.

    Use it as an async context manager; what was not kept is removed at its end. `prefix` is written ahead of the file:
    the header that a headless recording lacks. `began`: when, monotonic.
    """

    def __init__(
        self, blobs: Blobs, blob_id: str, file_field: str, max_bytes: int | None = None, *, prefix: bytes = b""
    ) -> None:
        self.fields: dict[str, str] = {}
        self.repeated: dict[str, list[str]] = {}
        self.filename: str | None = None
        self.size_bytes = 0
        self.began = time.monotonic()
        self._blobs = blobs
        self._blob_id = blob_id
        self._file_field = file_field
        self._max_bytes = max_bytes
        self._writer: BlobWriter | None = None
        self._buffer, self._other = bytearray(prefix), bytearray()
        self._filled = len(prefix)
        self._going = memoryview(b"")
        self._writing: asyncio.Task[None] | None = None
        self._parts = 0
        self._fields_bytes = 0
        self._header = b""
        self._headers: dict[bytes, bytes] = {}
        self._field: str | None = None
        self._value = bytearray()
        self._ended = False
        self._has_file = False

    async def __aenter__(self) -> Upload:
        return self

    async def __aexit__(self, *exc: object) -> None:
        with suppress(Exception):  # what made the caller leave was told already, or is told by `exc`
            await self._written()
        if self._writer is not None:
            await run_sync(self._writer.abort)

    async def receive(self, request: Request, on_long: Callable[[], None]) -> None:
        """Read the whole body. `on_long` is called once, early, when there is a file and its upload is a long one:
        what the model needs to load can go on beside it. A short one is checked whole before anything is begun.

        Raises `MultipartError`, `TooLarge`, `StorageFull`.
        """
        self._blobs.disk_space.admit(_announced_bytes(request))
        long_at, told = time.monotonic() + LONG_S, False
        try:
            parser = MultipartParser(_boundary(request), self._callbacks())
            async for data in request.stream():
                parser.write(data)
                if self.size_bytes and not told and (self.size_bytes > FLUSH_BYTES or time.monotonic() > long_at):
                    told = True
                    on_long()
                if self._filled >= FLUSH_BYTES:
                    await self._flush()
            parser.finalize()
        except FormParserError as error:
            raise MultipartError(f"multipart error: {error}") from error
        except ClientDisconnect as error:
            raise MultipartError("multipart error: the connection ended before the body did") from error
        if not self._ended:
            raise MultipartError("multipart error: the body ends before its closing boundary")

    async def fill(self, pieces: AsyncIterator[bytes], filename: str | None) -> None:
        """Take the file from elsewhere than the form. Raises `TooLarge`, `StorageFull`."""
        self._has_file, self.filename = True, filename
        async for piece in pieces:
            self._take(memoryview(piece))
            if self._filled >= FLUSH_BYTES:
                await self._flush()

    @property
    def blob_id(self) -> str:
        return self._blob_id

    @property
    def has_file(self) -> bool:
        return self._has_file

    def check_size(self, size_bytes: int) -> None:
        """Raises `TooLarge` where a file of this size may not be kept."""
        if self._max_bytes is not None and size_bytes > self._max_bytes:
            raise too_large(self._max_bytes)

    async def settle(self) -> None:
        """Wait until the rest of a long one is written. Raises `StorageFull`."""
        if self._writer is not None:
            await self._flush()
            await self._written()

    def keep(self) -> Blob:
        """Commit the file, which is settled: from now on it survives a power cut. Blocks. Raises `StorageFull`."""
        if self._writer is not None:
            blob = self._writer.commit()
            self._writer = None
            return blob
        with self._blobs.create(self._blob_id) as writer:  # a short one: all of it at once
            writer.write(memoryview(self._buffer)[: self._filled])
            return writer.commit()

    def check(self) -> None:
        """Raises `BadRequest` where the file is missing or empty."""
        if not self._has_file:
            raise BadRequest(f"missing '{self._file_field}' field")
        if not self.size_bytes:
            raise BadRequest(f"{self._file_field} field is empty")

    async def _flush(self) -> None:
        """Begin to write what has come, once what came before is written: more can be received meanwhile."""
        await self._written()
        if not self._filled:
            return
        if self._writer is None:
            self._writer = await run_sync(self._blobs.create, self._blob_id)
        # Two buffers in turn: new ones would cost as much again, in pages that the kernel has to clear.
        self._going = data = memoryview(self._buffer)[: self._filled]
        self._buffer, self._other, self._filled = self._other, self._buffer, 0
        self._writing = asyncio.create_task(run_sync(self._writer.write, data))

    async def _written(self) -> None:
        """Raises `StorageFull`."""
        writing, self._writing = self._writing, None
        if writing is not None:
            await writing
            self._going.release()  # or the buffer could not grow

    # The parser's callbacks: pure memory, called between two reads of the socket -----------------------------------

    def _callbacks(self) -> Any:
        return {
            "on_part_begin": self._part_began,
            "on_header_field": self._header_named,
            "on_header_value": self._header_valued,
            "on_headers_finished": self._headers_ended,
            "on_part_data": self._data,
            "on_part_end": self._part_ended,
            "on_end": self._form_ended,
        }

    def _part_began(self) -> None:
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise MultipartError(f"multipart error: more than {MAX_PARTS} fields")
        self._headers, self._header, self._field, self._value = {}, b"", None, bytearray()

    def _header_named(self, data: bytes, start: int, end: int) -> None:
        # A name may come in pieces; a value in between means that a new header has begun.
        if self._header in self._headers:
            self._header = b""
        self._header += data[start:end].lower()

    def _header_valued(self, data: bytes, start: int, end: int) -> None:
        self._headers[self._header] = self._headers.get(self._header, b"") + data[start:end]

    def _headers_ended(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        if b"name" not in options:
            raise MultipartError("multipart error: a part has no name")
        self._field = options[b"name"].decode(errors="replace")
        if self._field == self._file_field:
            if self._has_file:
                raise MultipartError(f"multipart error: more than one '{self._file_field}' field")
            self._has_file = True
            filename = options.get(b"filename")
            self.filename = filename.decode(errors="replace") if filename else None

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._field == self._file_field:
            self._take(memoryview(data)[start:end])
        elif len(self._value) + end - start > MAX_FIELD_BYTES:
            raise MultipartError(f"multipart error: field '{self._field}' is longer than {MAX_FIELD_BYTES} bytes")
        elif self._fields_bytes + end - start > MAX_FIELDS_BYTES:
            raise MultipartError(f"multipart error: the fields are together longer than {MAX_FIELDS_BYTES} bytes")
        else:
            self._fields_bytes += end - start
            self._value += data[start:end]

    def _take(self, data: memoryview) -> None:
        self.check_size(self.size_bytes + len(data))
        self.size_bytes += len(data)
        end = self._filled + len(data)
        if end > len(self._buffer):
            self._buffer.extend(bytes(end - len(self._buffer)))
        memoryview(self._buffer)[self._filled : end] = data
        self._filled = end

    def _part_ended(self) -> None:
        if self._field is not None and self._field != self._file_field:
            value = self._value.decode(errors="replace")
            self.fields[self._field] = value
            self.repeated.setdefault(self._field, []).append(value)

    def _form_ended(self) -> None:
        self._ended = True


def _announced_bytes(request: Request) -> int:
    """0 where the length is not told, or is none."""
    text = request.headers.get("content-length", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0


def too_large(max_bytes: int) -> TooLarge:
    return TooLarge(f"the file is larger than {max_bytes} bytes, this server's MAX_UPLOAD_BYTES")


def _boundary(request: Request) -> bytes:
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    boundary = options.get(b"boundary")
    if kind != b"multipart/form-data" or not boundary:
        raise MultipartError("multipart error: send a multipart/form-data body with a boundary")
    return boundary
