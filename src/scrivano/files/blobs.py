"""The only file writing: uploads and prepared audio under DATA_DIR, and the lock that keeps DATA_DIR one server's.

A file is written once, under a name made of the job's id; a client's file name is data and never gets here.
Nothing here knows of threads: calls block, and a writer belongs to one caller at a time.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType

from scrivano.domain.errors import StartError, StorageFull
from scrivano.files.disk_space import FULL, DiskSpace

__all__ = ["Blob", "BlobWriter", "Blobs", "DataDirLock", "Holder", "PartWriter", "RunningHash"]

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")
_PART = ".part"
_READ_BYTES = 1024 * 1024

# At once. More makes the kernel take larger pages, which it finds more slowly: up to six times, where a virtual machine
# has given free memory back to its host.
_WRITE_BYTES = 512 * 1024

_WRITEBACK_BYTES = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Blob:
    """What was committed. `sha256` is in hexadecimal."""

    sha256: str
    size_bytes: int


class RunningHash:
    """The SHA-256 of a file's first `size_bytes` bytes, while there are more and more of them."""

    def __init__(self) -> None:
        self.size_bytes = 0
        self._hash = hashlib.sha256()

    def add(self, data: bytes | bytearray, at: int) -> None:
        """What lies at `at`; passed over where something before it is missing: `catch_up` reads it later."""
        if at == self.size_bytes:
            self._hash.update(data)
            self.size_bytes += len(data)

    def copy(self) -> RunningHash:
        twin = RunningHash()
        twin.size_bytes, twin._hash = self.size_bytes, self._hash.copy()
        return twin

    def catch_up(self, path: Path) -> Blob:
        """Read the rest of the file."""
        with path.open("rb") as file:
            file.seek(self.size_bytes)
            while data := file.read(_READ_BYTES):
                self.add(data, self.size_bytes)
        return Blob(self._hash.hexdigest(), self.size_bytes)


def sync(fd: int) -> None:
    """Wait until a file, or a folder's entries, survive a power cut.

    On macOS, fsync stops at the drive's cache; F_FULLFSYNC goes through it, where the file system knows it.
    """
    full = getattr(fcntl, "F_FULLFSYNC", None)
    if full is not None:
        with suppress(OSError):
            fcntl.fcntl(fd, full)
            return
    os.fsync(fd)


class Blobs:
    """`uploads/<id>` and `prepared/<id>.<attempt>.pcm` under `root`; both folders are made here, for this user only.

    `disk_space` says what may be taken of the disk; None: all of it. `fsync` and `rename` are here for tests, which
    look at their order.
    """

    def __init__(
        self,
        root: Path,
        *,
        disk_space: DiskSpace | None = None,
        fsync: Callable[[int], None] = sync,
        rename: Callable[[Path, Path], object] = os.replace,
    ) -> None:
        self.disk_space = disk_space or DiskSpace(root)
        self._uploads = root / "uploads"
        self._prepared = root / "prepared"
        self._fsync = fsync
        self._rename = rename
        for folder in (self._uploads, self._prepared):
            _make_folder(folder)

    def create(self, job_id: str) -> BlobWriter:
        """A writer for a new upload; use it in a `with` block, which throws away what was not committed."""
        return BlobWriter(self.path(job_id), self.disk_space, self._fsync, self._rename)

    def extend(self, job_id: str, offset_bytes: int, running: RunningHash) -> PartWriter:
        """A writer for more of an upload that comes in several requests, for a `with` block.

        Raises `FileNotFoundError` where the file should be there and is not, `StorageFull`.
        """
        return PartWriter(_part(self.path(job_id)), self.disk_space, offset_bytes, running, self._fsync)

    def settle(self, job_id: str, running: RunningHash) -> Blob:
        """Put an upload that came in several requests in its place; when this returns, it survives a power cut.

        Its bytes are on disk already. Settling again, after a crash, is fine. Raises `StorageFull`.
        """
        path = self.path(job_id)
        part = _part(path)
        blob = running.catch_up(part if part.exists() else path)
        with _disk_errors(path.parent), suppress(FileNotFoundError):
            self._rename(part, path)
        _sync_folder(path.parent, self._fsync)
        return blob

    def path(self, job_id: str) -> Path:
        """Where an upload lies, or would."""
        return self._uploads / _checked(job_id)

    def delete(self, job_id: str) -> None:
        """The upload, and what there is of an unfinished one. Deleting what is not there is fine."""
        path = str(self.path(job_id))  # every job comes here, and pathlib's own unlink takes longer than the disk
        for name in (path, path + _PART):
            with suppress(FileNotFoundError):
                os.unlink(name)

    def prepared_path(self, job_id: str, attempt: int) -> Path:
        """Where an attempt's prepared audio goes; each attempt has its own, so a late child spoils nothing."""
        return self._prepared / f"{_checked(job_id)}.{attempt}.pcm"

    def delete_prepared(self, job_id: str, attempts: int | None = None) -> None:
        """The prepared audio of every attempt. Where their number is known, no other job's files are looked at."""
        if attempts is None:
            paths = list(self._prepared.glob(f"{_checked(job_id)}.*.pcm"))
        else:
            paths = [self.prepared_path(job_id, attempt) for attempt in range(1, attempts + 1)]
        for path in paths:
            path.unlink(missing_ok=True)

    def sweep(self, keep: Collection[str], unfinished: Collection[str] = ()) -> int:
        """At start: delete all but the uploads of the jobs `keep`, and what there is of the `unfinished` ones.
        Returns how many files went.

        Prepared audio goes too: it belongs to attempts of a server that ended.
        """
        kept = {*keep, *unfinished, *(name + _PART for name in unfinished)}
        orphans = [path for path in self._uploads.iterdir() if path.name not in kept]
        orphans += self._prepared.iterdir()
        for path in orphans:
            path.unlink()
        return len(orphans)


class _Sink:
    """A file's bytes on their way to disk, from `position` on: the disk begins before all of them are there."""

    def __init__(self, fd: int, position: int = 0) -> None:
        self.position = position
        self._fd = fd
        self._begun = position

    def write(self, data: bytes | bytearray | memoryview) -> None:
        left = memoryview(data)
        while left:
            written = os.pwrite(self._fd, left[:_WRITE_BYTES], self.position)
            self.position += written
            left = left[written:]
        if self.position >= self._begun + _WRITEBACK_BYTES:
            _begin_writeback(self._fd, self._begun, self.position - self._begun)
            self._begun = self.position


def _begin_writeback(fd: int, at: int, size_bytes: int) -> None:
    """Else the kernel may hold a gigabyte back until fsync, for which the sender then waits.

    On Linux the advice begins to write what is not written yet; what is written by then leaves the cache. It is no more
    than advice: a file system that takes none, and macOS, which has none, write later.
    """
    if hasattr(os, "posix_fadvise"):
        with suppress(OSError):
            os.posix_fadvise(fd, at, size_bytes, os.POSIX_FADV_DONTNEED)


class BlobWriter:
    """One upload on its way to disk, under a `.part` name until `commit`."""

    def __init__(
        self, path: Path, disk_space: DiskSpace, fsync: Callable[[int], None], rename: Callable[[Path, Path], object]
    ) -> None:
        self._path = path
        self._disk_space = disk_space
        self._part = _part(path)
        self._fsync = fsync
        self._rename = rename
        self._hash = hashlib.sha256()
        with _disk_errors(path.parent):
            self._file = open(self._part, "xb", buffering=0, opener=_private)  # noqa: SIM115  closed by commit or abort
        self._sink = _Sink(self._file.fileno())

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Raises `StorageFull`; then `abort`."""
        self._disk_space.admit(len(data))
        with _disk_errors(self._path.parent):
            self._sink.write(data)
        self._hash.update(data)

    def commit(self) -> Blob:
        """Put the file in its place; when this returns, it survives a power cut. Raises `StorageFull`; then `abort`."""
        with _disk_errors(self._path.parent):
            self._fsync(self._file.fileno())
            self._file.close()
            self._rename(self._part, self._path)
            _sync_folder(self._path.parent, self._fsync)
        return Blob(self._hash.hexdigest(), self._sink.position)

    def abort(self) -> None:
        """Remove what was written so far; nothing after `commit`."""
        with suppress(OSError):  # a network's file system may say only now that it is full
            self._file.close()
        self._part.unlink(missing_ok=True)

    def __enter__(self) -> BlobWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.abort()


class PartWriter:
    """More of an upload that comes in several requests. What was synced survives a power cut.

    `position` is where the next byte goes. What lay behind the offset that it begins at is written over.
    """

    def __init__(
        self, part: Path, disk_space: DiskSpace, offset_bytes: int, running: RunningHash, fsync: Callable[[int], None]
    ) -> None:
        self._disk_space = disk_space
        self.running = running
        self._folder = part.parent
        self._new = offset_bytes == 0
        self._fsync = fsync
        with _disk_errors(self._folder):
            fd = os.open(part, os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if self._new else 0), 0o600)
        self._file = open(fd, "r+b", buffering=0)  # noqa: SIM115  closed by close
        self._sink = _Sink(fd, offset_bytes)

    @property
    def position(self) -> int:
        return self._sink.position

    def write(self, data: bytes | bytearray) -> None:
        """Raises `StorageFull`."""
        at = self.position
        self._disk_space.admit(len(data))
        with _disk_errors(self._folder):
            self._sink.write(data)
        self.running.add(data, at)

    def sync(self) -> None:
        """Raises `StorageFull`."""
        with _disk_errors(self._folder):
            self._fsync(self._file.fileno())
            if self._new:
                _sync_folder(self._folder, self._fsync)
                self._new = False

    def __enter__(self) -> PartWriter:
        return self

    def __exit__(self, *exc: object) -> None:
        self._file.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """The server that holds a data folder. `host` and `port` are None until it listens; `since` is ISO 8601."""

    pid: int
    since: str
    host: str | None = None
    port: int | None = None

    def __str__(self) -> str:
        where = f", at http://{self.host}:{self.port}" if self.port else ""
        return f"process {self.pid}{where}, since {self.since}"


class DataDirLock:
    """The right to be the one server on a data folder: an flock on `server.lock`, which names its holder.

    The operating system frees the lock when the process ends, however it ends; the file stays.
    """

    def __init__(self, folder: Path, *, since: datetime) -> None:
        """Make the folder if needed (for this user only) and take the lock.

        Raises `StartError` when another server has it, or the folder cannot be written to.
        """
        _make_folder(folder)
        self._holder = Holder(pid=os.getpid(), since=since.isoformat(timespec="seconds"))
        self._fd = _open_lock(folder)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._fd)
            raise StartError(_why_not(folder, error)) from error
        self._say(self._holder)

    def announce(self, *, host: str, port: int) -> None:
        """Write down where this server listens, for the message that a second one shows, and for clients."""
        self._say(Holder(pid=self._holder.pid, since=self._holder.since, host=host, port=port))

    def release(self) -> None:
        """Let the next server in. Releasing twice is fine."""
        if self._fd >= 0:
            os.ftruncate(self._fd, 0)
            os.close(self._fd)
            self._fd = -1

    @staticmethod
    def holder(folder: Path) -> Holder | None:
        """Who last said that it holds the folder. It may have been killed since: only a connection tells."""
        try:
            return Holder(**json.loads((folder / "server.lock").read_bytes()))
        except (OSError, ValueError, TypeError):
            return None

    def _say(self, holder: Holder) -> None:
        # One write of one length: a reader never meets half of it, nor the rest of a longer one.
        try:
            os.pwrite(self._fd, json.dumps(asdict(holder)).ljust(512).encode(), 0)
        except OSError as error:
            if error.errno not in FULL:  # the lock is held all the same; nobody is told by whom
                raise


def _why_not(folder: Path, error: OSError) -> str:
    if not isinstance(error, BlockingIOError):
        return f"cannot lock the data folder {folder} ({error.strerror}): DATA_DIR must be on a disk that has locks"
    holder = DataDirLock.holder(folder) or "another process"
    return f"the data folder {folder} is in use by {holder}: stop that server, or set DATA_DIR to another folder"


def _open_lock(folder: Path) -> int:
    try:
        return os.open(folder / "server.lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise _unwritable(folder, error) from error


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(folder, error) from error


def _unwritable(folder: Path, error: OSError) -> StartError:
    return StartError(f"cannot write to {folder} ({error.strerror}): set DATA_DIR to a folder that you may write to")


def _part(path: Path) -> Path:
    return path.with_name(path.name + _PART)


def _sync_folder(folder: Path, fsync: Callable[[int], None]) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        fsync(fd)
    finally:
        os.close(fd)


def _checked(job_id: str) -> str:
    """Raises ValueError: an id that is no plain name must never reach the file system."""
    if not _ID.fullmatch(job_id):
        raise ValueError(f"not a job id: {job_id!r}")
    return job_id


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


@contextmanager
def _disk_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise StorageFull(f"no room left in {folder} ({error.strerror}): free some space and send it again") from error
