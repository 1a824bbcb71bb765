"""Recordings as objects in a bucket.

A recording is received into a file of this machine first, as its media child needs it there anyway. It counts as
received when the bucket has all of it. The file stays in a bounded cache, from which children read: they get no
credentials. Deletions reach the bucket a little later, from a thread of their own, however long the bucket is gone.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Collection, Iterable
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from urllib.parse import urlsplit

from scrivano.domain.errors import StorageDamaged, StorageFull, StorageUnreachable
from scrivano.files.blob_cache import BlobCache, CachedFile
from scrivano.files.blob_writer import Blob, BlobWriter, PartWriter, RunningHash, part_of
from scrivano.files.blobs import checked_id
from scrivano.files.bucket import Bucket
from scrivano.files.disk_space import DiskSpace
from scrivano.files.folder_blobs import FolderBlobs, OpenFile

__all__ = ["ObjectBlobs"]

# A recording that does not match its hash is read so often before it counts as damaged.
READS = 2

# Between two tries to delete something; and how long `close` waits for deletions.
DELETE_RETRY_S = 5.0
CLOSE_S = 2.0


class ObjectBlobs:
    """`uploads/<id>` in the bucket. Implements `Blobs`.

    Under `root`, a folder of this process alone: `cache`, and `uploads` for what arrives in several requests.
    `disk_space` limits what is written there. `redirect_s`: clients may read recordings from the bucket itself, by URLs
    that hold so long; None: only through this server.
    """

    def __init__(
        self,
        bucket: Bucket,
        root: Path,
        *,
        cache_bytes: int,
        disk_space: DiskSpace | None = None,
        redirect_s: float | None = None,
    ) -> None:
        self._bucket = bucket
        self._disk_space = disk_space or DiskSpace(root)
        self._arriving = FolderBlobs(root, disk_space=disk_space)
        self._cache = BlobCache(root / "cache", cache_bytes)
        self._redirect_s = redirect_s
        self._deleting = threading.Condition()
        # Ids whose objects are to be deleted, in this order.
        self._doomed: dict[str, None] = {}
        self._closed = False

    def admit(self, size_bytes: int = 0) -> None:
        self._make_space(size_bytes)
        if (reason := self._bucket.down) is not None:
            raise StorageUnreachable(reason)

    def create(self, blob_id: str) -> _NewObject:
        file = self._cache.new_part(blob_id)
        return _NewObject(self, blob_id, file, BlobWriter(file, self._make_space, _no_sync, os.replace))

    def extend(self, blob_id: str, offset_bytes: int, running_hash: RunningHash) -> PartWriter:
        return self._arriving.extend(blob_id, offset_bytes, running_hash)

    def has_part(self, blob_id: str) -> bool:
        return self._arriving.has_part(blob_id)

    def complete(self, blob_id: str, running_hash: RunningHash) -> Blob:
        part = part_of(self._arriving.path(blob_id))
        if not part.exists():  # it is stored already, and then the process was killed
            with closing(self.fetch(blob_id)) as copy:
                return RunningHash().catch_up(copy.path)
        blob = running_hash.catch_up(part)
        self._bucket.put(_key(blob_id), part, blob)
        self._cache.add(blob_id, part).close()
        return blob

    def store(self, blob_id: str, file: Path, blob: Blob) -> None:
        """A file that has arrived, to its place. Raises `StorageUnreachable`; the file is then deleted."""
        with closing(self._cache.add(blob_id, file)) as copy:
            try:
                self._bucket.put(_key(blob_id), copy.path, blob)
            except BaseException:
                self.delete(blob_id)  # the bucket may have it after all
                raise

    def open(self, blob_id: str) -> OpenFile | OpenObject:
        self._check_exists(blob_id)
        if self._redirect_s is None and (copy := self._cache.find(blob_id)) is not None:
            with closing(copy):
                return OpenFile(os.open(copy.path, os.O_RDONLY | os.O_CLOEXEC))
        stored = self._bucket.head(_key(blob_id))
        return OpenObject(self._bucket, _key(blob_id), stored.size_bytes, stored.modified_at, self._redirect_s)

    def client_origin(self) -> str | None:
        if self._redirect_s is None:
            return None
        with suppress(StorageUnreachable):
            parts = urlsplit(self._bucket.presigned("check", self._redirect_s))
            return f"{parts.scheme}://{parts.netloc}"
        return None

    def fetch(self, blob_id: str) -> CachedFile:
        self._check_exists(blob_id)
        if (copy := self._cache.find(blob_id)) is not None:
            return copy
        stored = self._bucket.head(_key(blob_id))
        for _ in range(READS):
            part = self._cache.new_part(blob_id)
            sha256 = self._bucket.download(_key(blob_id), stored.size_bytes, part, self._make_space)
            if sha256 == stored.sha256 or stored.sha256 is None:
                return self._cache.add(blob_id, part)
            part.unlink()
        raise StorageDamaged(blob_id)

    def delete(self, blob_id: str) -> None:
        self._arriving.delete(blob_id)
        self._cache.discard(blob_id)
        with self._deleting:
            if not self._doomed:
                threading.Thread(target=self._delete_doomed, name="storage-delete", daemon=True).start()
            self._doomed[blob_id] = None

    def sweep(self, needed: Collection[str], unfinished: Collection[str] = ()) -> int:
        return self._arriving.sweep((), unfinished) + self._cache.sweep({*needed, *unfinished})

    def copies(self) -> Collection[str]:
        return {*self._cache.unused(), *self._arriving.ids()}

    def drop_copy(self, blob_id: str) -> None:
        self._arriving.delete(blob_id)
        self._cache.discard_unused(blob_id)

    def stored(self) -> Iterable[str]:
        return self._bucket.list("uploads")

    def fault(self) -> str | None:
        if self._bucket.responds():
            return self._arriving.fault()
        return f"recordings cannot be stored in {self._bucket.url} ({self._bucket.down}): check the object store"

    def check(self) -> str:
        self._bucket.check()
        return self._bucket.url

    def close(self) -> None:
        """Waits a little for deletions. What is left is found by a later sweep."""
        with self._deleting:
            self._deleting.wait_for(lambda: not self._doomed, CLOSE_S if self._bucket.down is None else 0)
            self._closed = True
        self._bucket.close()

    def _check_exists(self, blob_id: str) -> None:
        """Raises `FileNotFoundError`."""
        if checked_id(blob_id) in self._doomed:
            raise FileNotFoundError(f"{blob_id} is being deleted")

    def _make_space(self, size_bytes: int) -> None:
        """Raises `StorageFull`."""
        try:
            self._disk_space.admit(size_bytes)
        except StorageFull:
            self._cache.clear()
            self._disk_space.admit(size_bytes)

    def _delete_doomed(self) -> None:
        """Until there is nothing left to delete."""
        while not self._closed:
            with self._deleting:
                doomed = list(self._doomed)
            try:
                for blob_id in doomed:
                    self._bucket.delete(_key(blob_id))
                    with self._deleting:
                        del self._doomed[blob_id]
                        if not self._doomed:
                            self._deleting.notify_all()
                            return
            except StorageUnreachable:
                self._bucket.wait_until_up(DELETE_RETRY_S)


class _NewObject:
    """Receives into a file; `commit` returns when the bucket has it."""

    def __init__(self, blobs: ObjectBlobs, blob_id: str, file: Path, writer: BlobWriter) -> None:
        self._blobs = blobs
        self._blob_id = blob_id
        self._file = file
        self._writer = writer

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._writer.write(data)

    def commit(self) -> Blob:
        blob = self._writer.commit()
        self._blobs.store(self._blob_id, self._file, blob)
        return blob

    def abort(self) -> None:
        self._writer.abort()

    def __enter__(self) -> _NewObject:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.abort()


@dataclass(frozen=True, slots=True)
class OpenObject:
    """An object, as an `OpenBlob`."""

    bucket: Bucket
    key: str
    size_bytes: int
    modified_at: datetime
    redirect_s: float | None

    @property
    def url(self) -> str | None:
        return None if self.redirect_s is None else self.bucket.presigned(self.key, self.redirect_s)

    def read(self, start: int, size_bytes: int) -> bytes:
        return self.bucket.read(self.key, start, max(0, min(size_bytes, self.size_bytes - start)))

    def close(self) -> None:
        """There is nothing to close."""


def _key(blob_id: str) -> str:
    return f"uploads/{checked_id(blob_id)}"


def _no_sync(fd: int) -> None:
    """What has not reached the bucket was not acknowledged, and may be lost."""
