"""Parts of prepared audio as objects, which the machines of a cluster hand to each other.

All of them can be made again.
"""

from __future__ import annotations

import logging
import os
import queue
import shutil
import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from scrivano.domain.errors import StorageUnreachable
from scrivano.files.blob_writer import PART_SUFFIX
from scrivano.files.blobs import checked_id
from scrivano.files.disk import disk_errors, make_folder

if TYPE_CHECKING:
    from scrivano.files.bucket import Bucket

__all__ = ["AudioObjects", "BucketAudio", "FolderAudio"]

logger = logging.getLogger(__name__)

FOLDER = "prepared"


class Place(Protocol):
    """Where the objects are. Methods block."""

    def put(self, job_id: str, name: str, data: bytes) -> None:
        """Raises `StorageUnreachable`, `StorageFull`."""

    def get(self, job_id: str, name: str) -> bytes:
        """Raises `FileNotFoundError`, `StorageUnreachable`."""

    def remove(self, job_id: str) -> None:
        """Delete all objects of a job. Raises `StorageUnreachable`."""

    def jobs(self) -> Iterable[str]:
        """The ids of jobs that have objects; may repeat. Raises `StorageUnreachable`."""

    def close(self) -> None: ...


class AudioObjects:
    """Objects by job and name. Any thread may call. `stored` and `delete`: as in `Blobs`, for all objects of a job."""

    def __init__(self, place: Place) -> None:
        self.put, self.get, self.stored = place.put, place.get, place.jobs
        self._place = place
        self._doomed: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._deleter = threading.Thread(target=self._delete_doomed, name="prepared-delete", daemon=True)
        self._deleter.start()

    def delete(self, job_id: str) -> None:
        """Delete all objects of a job a little later; what cannot be deleted is left to a sweep. Does not wait."""
        self._doomed.put(job_id)

    def close(self, timeout_s: float = 2.0) -> None:
        """Waits a little for deletions."""
        self._doomed.put(None)
        self._deleter.join(timeout_s)
        self._place.close()

    def _delete_doomed(self) -> None:
        while (job_id := self._doomed.get()) is not None:
            try:
                self._place.remove(job_id)
            except (StorageUnreachable, OSError) as error:
                logger.warning("prepared audio is deleted later: %s", error, extra={"job_id": job_id})


class BucketAudio:
    """`prepared/<job>/<name>` in a bucket."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    def put(self, job_id: str, name: str, data: bytes) -> None:
        self._bucket.put_bytes(f"{FOLDER}/{checked_id(job_id)}/{name}", data)

    def get(self, job_id: str, name: str) -> bytes:
        return self._bucket.get_bytes(f"{FOLDER}/{checked_id(job_id)}/{name}")

    def remove(self, job_id: str) -> None:
        folder = f"{FOLDER}/{checked_id(job_id)}"
        for name in list(self._bucket.list(folder)):
            self._bucket.delete(f"{folder}/{name}")

    def jobs(self) -> Iterator[str]:
        return (name.partition("/")[0] for name in self._bucket.list(FOLDER))

    def close(self) -> None:
        self._bucket.close()


class FolderAudio:
    """`prepared/<job>/<name>` in a folder that all machines have; creates `prepared`, for this user only."""

    def __init__(self, root: Path) -> None:
        self._root = root / FOLDER
        make_folder(self._root)

    def put(self, job_id: str, name: str, data: bytes) -> None:
        path = self._root / checked_id(job_id) / name
        part = path.with_name(f"{name}.{os.getpid()}.{threading.get_ident()}{PART_SUFFIX}")
        with disk_errors(self._root):
            make_folder(path.parent)
            part.write_bytes(data)
            os.replace(part, path)  # a reader never sees half of it

    def get(self, job_id: str, name: str) -> bytes:
        return (self._root / checked_id(job_id) / name).read_bytes()

    def remove(self, job_id: str) -> None:
        with suppress(FileNotFoundError):
            shutil.rmtree(self._root / checked_id(job_id))

    def jobs(self) -> Iterator[str]:
        return (entry.name for entry in os.scandir(self._root))

    def close(self) -> None:
        """There is nothing to close."""
