"""Recordings as files in a folder: under DATA_DIR, or in one that several servers share."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from scrivano.domain.errors import StartError
from scrivano.files.blob_writer import PART_SUFFIX, Blob, BlobWriter, PartWriter, RunningHash, part_of
from scrivano.files.blobs import checked_id
from scrivano.files.disk import disk_errors, make_folder, sync, sync_folder
from scrivano.files.disk_space import DiskSpace

__all__ = ["UPLOADS", "FolderBlobs", "OpenFile"]

# The folder of recordings.
UPLOADS = "uploads"

# A part that nothing was written to for so long does not arrive any more: idle uploads are ended much earlier.
ARRIVING_S = 3600.0


class FolderBlobs:
    """`uploads/<id>` under `root`; creates the folder, for this user only. Implements `Blobs`.

    `shared`: other servers write there, too. `disk_space` limits how much may be written; None: no limit. `fsync` and
    `rename` are arguments so that tests can check their order.
    """

    def __init__(
        self,
        root: Path,
        *,
        shared: bool = False,
        disk_space: DiskSpace | None = None,
        fsync: Callable[[int], None] = sync,
        rename: Callable[[Path, Path], object] = os.replace,
    ) -> None:
        self._disk_space = disk_space or DiskSpace(root)
        self._folder = root / UPLOADS
        self._shared = shared
        self._fsync = fsync
        self._rename = rename
        make_folder(self._folder)

    def admit(self, size_bytes: int = 0) -> None:
        self._disk_space.admit(size_bytes)

    def create(self, blob_id: str) -> BlobWriter:
        return BlobWriter(self.path(blob_id), self._disk_space.admit, self._fsync, self._rename)

    def extend(self, blob_id: str, offset_bytes: int, running_hash: RunningHash) -> PartWriter:
        part = part_of(self.path(blob_id))
        return PartWriter(part, self._disk_space.admit, offset_bytes, running_hash, self._fsync)

    def has_part(self, blob_id: str) -> bool:
        return part_of(self.path(blob_id)).exists()

    def complete(self, blob_id: str, running_hash: RunningHash) -> Blob:
        path = self.path(blob_id)
        part = part_of(path)
        blob = running_hash.catch_up(part if part.exists() else path)
        with disk_errors(path.parent), suppress(FileNotFoundError):
            self._rename(part, path)
        sync_folder(path.parent, self._fsync)
        return blob

    def path(self, blob_id: str) -> Path:
        """The path of a recording, whether it exists or not."""
        return self._folder / checked_id(blob_id)

    def open(self, blob_id: str) -> OpenFile:
        return OpenFile(os.open(self.path(blob_id), os.O_RDONLY | os.O_CLOEXEC))

    def client_origin(self) -> None:
        """Clients read through the server."""

    def fetch(self, blob_id: str) -> StoredFile:
        path = self.path(blob_id)
        if not path.exists():
            raise FileNotFoundError(path)
        return StoredFile(path)

    def delete(self, blob_id: str) -> None:
        path = str(self.path(blob_id))  # called for every job, and pathlib's own unlink takes longer than the disk
        for name in (path, path + PART_SUFFIX):
            with suppress(FileNotFoundError):
                os.unlink(name)

    def sweep(self, needed: Collection[str], unfinished: Collection[str] = ()) -> int:
        if self._shared:
            return 0
        names = {*needed, *unfinished, *(name + PART_SUFFIX for name in unfinished)}
        orphans = [path for path in self._folder.iterdir() if path.name not in names]
        for path in orphans:
            path.unlink()
        return len(orphans)

    def copies(self) -> Collection[str]:
        return ()

    def drop_copy(self, blob_id: str) -> None:
        """There are no copies."""

    def stored(self) -> Iterator[str]:
        now = time.time()
        for entry in os.scandir(self._folder):
            with suppress(FileNotFoundError):
                if not entry.name.endswith(PART_SUFFIX) or now - entry.stat().st_mtime > ARRIVING_S:
                    yield entry.name.removesuffix(PART_SUFFIX)

    def ids(self) -> set[str]:
        """Of all recordings, also of those that arrive now."""
        names = [entry.name for entry in os.scandir(self._folder) if not entry.name.startswith(".")]
        return {name.removesuffix(PART_SUFFIX) for name in names}

    def fault(self) -> str | None:
        if os.access(self._folder, os.W_OK | os.X_OK):
            return None
        what = "the folder of uploads is missing or cannot be written to"
        return f"{what}: restore {self._name}, then restart the server"

    def check(self) -> str:
        probe = self._folder / f"check-{os.getpid()}{PART_SUFFIX}"
        try:
            with disk_errors(self._folder):
                probe.write_bytes(b"check")
                probe.read_bytes()
                probe.unlink()
        except OSError as error:
            raise StartError(f"cannot write to {self._folder} ({error.strerror}): set {self._name}") from error
        return str(self._folder)

    def close(self) -> None:
        """There is nothing to close."""

    @property
    def _name(self) -> str:
        return "BLOB_URL" if self._shared else "DATA_DIR"


@dataclass(frozen=True, slots=True)
class StoredFile:
    """The stored file itself, as a `LocalCopy`."""

    path: Path

    def close(self) -> None:
        """The file is the recording, and stays."""


class OpenFile:
    """An open file, as an `OpenBlob`. It stays complete if it is deleted while it is read."""

    url = None

    def __init__(self, file: int) -> None:
        self._file = file
        status = os.fstat(file)
        self.size_bytes = status.st_size
        self.modified_at = datetime.fromtimestamp(status.st_mtime, UTC)

    def read(self, start: int, size_bytes: int) -> bytes:
        return os.pread(self._file, size_bytes, start)

    def close(self) -> None:
        os.close(self._file)
