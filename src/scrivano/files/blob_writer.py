"""The bytes of an upload on their way to disk, in one request or in several.

Calls block, and a writer belongs to one caller at a time.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from scrivano.files.disk import disk_errors, sync_folder

__all__ = ["PART_SUFFIX", "Blob", "BlobWriter", "PartWriter", "RunningHash", "part_of"]

PART_SUFFIX = ".part"

_READ_BYTES = 1024 * 1024

# Bytes per write. With more, the kernel allocates larger pages, which it finds more slowly: up to six times, where a
# virtual machine has given free memory back to its host.
WRITE_BYTES = 512 * 1024

# After this many bytes the kernel is told to start writing. Otherwise it may keep a gigabyte in memory until fsync,
# which then takes long while the client waits for its answer.
WRITEBACK_BYTES = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Blob:
    """A complete file. `sha256` is in hexadecimal."""

    sha256: str
    size_bytes: int


class RunningHash:
    """The SHA-256 of the first `size_bytes` bytes of a growing file."""

    def __init__(self) -> None:
        self.size_bytes = 0
        self._hash = hashlib.sha256()

    def add(self, data: bytes | bytearray | memoryview, at: int) -> None:
        """Data at offset `at`. Ignored unless it follows directly: `catch_up` reads it from the file later."""
        if at == self.size_bytes:
            self._hash.update(data)
            self.size_bytes += len(data)

    def copy(self) -> RunningHash:
        other = RunningHash()
        other.size_bytes, other._hash = self.size_bytes, self._hash.copy()
        return other

    def catch_up(self, path: Path) -> Blob:
        """Read the rest of the file."""
        with path.open("rb") as file:
            file.seek(self.size_bytes)
            while data := file.read(_READ_BYTES):
                self.add(data, self.size_bytes)
        return Blob(self._hash.hexdigest(), self.size_bytes)


def part_of(path: Path) -> Path:
    """The name of an upload that is not complete."""
    return path.with_name(path.name + PART_SUFFIX)


class BlobWriter:
    """One upload in one request, under a `.part` name until `commit`."""

    def __init__(
        self,
        path: Path,
        admit: Callable[[int], None],
        fsync: Callable[[int], None],
        rename: Callable[[Path, Path], object],
    ) -> None:
        """`admit` is asked before each write for its number of bytes; it may raise `StorageFull`."""
        self._path = path
        self._admit = admit
        self._part = part_of(path)
        self._fsync = fsync
        self._rename = rename
        self._hash = hashlib.sha256()
        with disk_errors(path.parent):
            self._file = open(self._part, "wb", buffering=0, opener=_private)  # noqa: SIM115  closed by commit or abort
        self._output = _Output(self._file.fileno())

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Raises `StorageFull`; then call `abort`."""
        self._admit(len(data))
        with disk_errors(self._path.parent):
            self._output.write(data)
        self._hash.update(data)

    def commit(self) -> Blob:
        """Rename the file to its final name; when this returns, it survives a power cut.

        The order matters: first the bytes are on disk, then the file has its name, then the name is on disk. After a
        crash, a file with a final name is therefore always complete. Raises `StorageFull`; then call `abort`.
        """
        with disk_errors(self._path.parent):
            self._fsync(self._file.fileno())
            self._file.close()
            self._rename(self._part, self._path)
            sync_folder(self._path.parent, self._fsync)
        return Blob(self._hash.hexdigest(), self._output.position)

    def abort(self) -> None:
        """Remove the unfinished file. After `commit` this does nothing."""
        with suppress(OSError):  # a network file system may report only now that it is full
            self._file.close()
        self._part.unlink(missing_ok=True)

    def __enter__(self) -> BlobWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.abort()


class PartWriter:
    """One part of an upload that arrives in several requests. Synced bytes survive a power cut.

    `position` is the offset of the next byte. Bytes beyond the offset at which it starts are overwritten.
    """

    def __init__(
        self,
        part: Path,
        admit: Callable[[int], None],
        offset_bytes: int,
        running_hash: RunningHash,
        fsync: Callable[[int], None],
    ) -> None:
        self._admit = admit
        self.running_hash = running_hash
        self._folder = part.parent
        self._new = offset_bytes == 0
        self._fsync = fsync
        with disk_errors(self._folder):
            fd = os.open(part, os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if self._new else 0), 0o600)
        self._file = open(fd, "r+b", buffering=0)  # noqa: SIM115  closed by __exit__
        self._output = _Output(fd, offset_bytes)

    @property
    def position(self) -> int:
        return self._output.position

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Raises `StorageFull`."""
        at = self.position
        self._admit(len(data))
        with disk_errors(self._folder):
            self._output.write(data)
        self.running_hash.add(data, at)

    def sync(self) -> None:
        """When this returns, the bytes written so far survive a power cut. Raises `StorageFull`."""
        with disk_errors(self._folder):
            self._fsync(self._file.fileno())
            if self._new:
                sync_folder(self._folder, self._fsync)
                self._new = False

    def __enter__(self) -> PartWriter:
        return self

    def __exit__(self, *exc: object) -> None:
        self._file.close()


class _Output:
    """Writes to a file from `position` on; the kernel starts to write to disk before all bytes are there."""

    def __init__(self, fd: int, position: int = 0) -> None:
        self.position = position
        self._fd = fd
        self._writeback_started = position

    def write(self, data: bytes | bytearray | memoryview) -> None:
        left = memoryview(data)
        while left:
            written = os.pwrite(self._fd, left[:WRITE_BYTES], self.position)
            self.position += written
            left = left[written:]
        if self.position >= self._writeback_started + WRITEBACK_BYTES:
            _start_writeback(self._fd, self._writeback_started, self.position - self._writeback_started)
            self._writeback_started = self.position


def _start_writeback(fd: int, at: int, size_bytes: int) -> None:
    """On Linux this advice makes the kernel write, and drop written pages from its cache.

    File systems may ignore or refuse it, and macOS does not have it: the bytes are then written later.
    """
    if hasattr(os, "posix_fadvise"):
        with suppress(OSError):
            os.posix_fadvise(fd, at, size_bytes, os.POSIX_FADV_DONTNEED)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
