"""Recordings of an object store as files on this machine, for the children that read them."""

from __future__ import annotations

import itertools
import os
import threading
from collections import Counter
from collections.abc import Collection
from pathlib import Path

from scrivano.files.blob_writer import PART_SUFFIX
from scrivano.files.blobs import checked_id
from scrivano.files.disk import make_folder

__all__ = ["BlobCache", "CachedFile"]


class BlobCache:
    """`<id>` in `folder`, which it creates. Together they have at most `max_bytes`: those that were used longest ago go
    first. Files in use always stay, and so does the newest one, unless `max_bytes` is 0. Any thread may call.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._parts = itertools.count()
        self._uses: Counter[str] = Counter()
        make_folder(folder)
        stored = sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime)
        # Bytes of each file, in the order of their last use.
        self._files = {path.name: path.stat().st_size for path in stored if path.suffix != PART_SUFFIX}

    def path(self, blob_id: str) -> Path:
        return self._folder / checked_id(blob_id)

    def new_part(self, blob_id: str) -> Path:
        """A name for a file that is to be added. Only an earlier process can have used it before."""
        return self._folder / f"{checked_id(blob_id)}.{next(self._parts)}{PART_SUFFIX}"

    def find(self, blob_id: str) -> CachedFile | None:
        """The file if it is there. It is in use until it is closed."""
        path = self.path(blob_id)
        with self._lock:
            if blob_id not in self._files or not path.exists():  # somebody may have emptied the folder
                self._files.pop(blob_id, None)
                return None
            self._files[blob_id] = self._files.pop(blob_id)
            self._uses[blob_id] += 1
            return CachedFile(self, blob_id, path)

    def add(self, blob_id: str, part: Path) -> CachedFile:
        """Rename a complete file to its place. It is in use until it is closed."""
        path = self.path(blob_id)
        size_bytes = part.stat().st_size
        with self._lock:
            os.replace(part, path)
            self._files.pop(blob_id, None)
            self._files[blob_id] = size_bytes
            self._uses[blob_id] += 1
            self._evict(self._max_bytes)
            return CachedFile(self, blob_id, path)

    def discard(self, blob_id: str) -> None:
        """Delete the file, if it is there, even if it is in use."""
        path = self.path(blob_id)
        with self._lock:
            self._remove(blob_id, path)

    def unused(self) -> set[str]:
        """The ids of the files that are not in use."""
        with self._lock:
            return {blob_id for blob_id in self._files if not self._uses[blob_id]}

    def discard_unused(self, blob_id: str) -> None:
        """Delete the file, if it is there and not in use."""
        path = self.path(blob_id)
        with self._lock:
            if not self._uses[blob_id]:
                self._remove(blob_id, path)

    def clear(self) -> None:
        """Delete all that is not in use: the disk is full."""
        with self._lock:
            self._evict(0)

    def sweep(self, needed: Collection[str]) -> int:
        """At the start: delete what an earlier process left, except these recordings. Returns how many."""
        with self._lock:
            orphans = [path for path in self._folder.iterdir() if path.name not in needed]
            for path in orphans:
                self._remove(path.name, path)
        return len(orphans)

    def release(self, blob_id: str) -> None:
        """One use has ended."""
        with self._lock:
            self._uses[blob_id] -= 1
            if not self._uses[blob_id]:
                del self._uses[blob_id]
            self._evict(self._max_bytes)

    def _evict(self, max_bytes: int) -> None:
        excess = sum(self._files.values()) - max_bytes
        for blob_id, size_bytes in list(self._files.items()):
            if excess <= 0:
                return
            newest = max_bytes > 0 and blob_id == next(reversed(self._files))
            if not (newest or self._uses[blob_id]):
                self._remove(blob_id, self._folder / blob_id)
                excess -= size_bytes

    def _remove(self, blob_id: str, path: Path) -> None:
        path.unlink(missing_ok=True)
        self._files.pop(blob_id, None)


class CachedFile:
    """A file of the cache in use, as a `LocalCopy`."""

    def __init__(self, cache: BlobCache, blob_id: str, path: Path) -> None:
        self.path = path
        self._cache: BlobCache | None = cache
        self._blob_id = blob_id

    def close(self) -> None:
        cache, self._cache = self._cache, None
        if cache is not None:
            cache.release(self._blob_id)
