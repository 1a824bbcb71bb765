"""Parts of prepared audio as objects, which the machines of a cluster hand to each other.

All of them can be made again. Their names begin with the number of an attempt, and a point.
"""

from __future__ import annotations

import logging
import os
import queue
import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
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

# What could not be deleted is tried again after this time, or when something else could.
RETRY_S = 5.0

# A job's folder may be deleted just before a part is written to it.
WRITE_TRIES = 3


class Place(Protocol):
    """Where the objects are. Methods block."""

    def put(self, job_id: str, name: str, data: bytes) -> None:
        """Raises `StorageUnreachable`, `StorageFull`."""

    def get(self, job_id: str, name: str) -> bytes:
        """Raises `FileNotFoundError`, `StorageUnreachable`."""

    def remove(self, job_id: str, attempts: int | None) -> None:
        """Delete the objects of so many attempts at a job; None: all of them. Raises `StorageUnreachable`."""

    def jobs(self) -> Iterable[str]:
        """The ids of jobs that have objects; may repeat. Raises `StorageUnreachable`."""

    def close(self) -> None: ...


class AudioObjects:
    """Objects by job and name. Any thread may call. `stored`: as in `Blobs`, the jobs that have objects."""

    def __init__(self, place: Place, retry_s: float = RETRY_S) -> None:
        self._retry_s = retry_s
        self.put, self.get, self.stored = place.put, place.get, place.jobs
        self._place = place
        self._doomed: queue.SimpleQueue[Doomed | None] = queue.SimpleQueue()
        self._deleter = threading.Thread(target=self._delete_doomed, name="prepared-delete", daemon=True)
        self._deleter.start()

    def delete(self, job_id: str, attempts: int | None = None) -> None:
        """Delete the objects of so many attempts at a job a little later; None: all of them. Does not wait."""
        self._doomed.put(Doomed(job_id, attempts))

    def close(self, timeout_s: float = 2.0) -> None:
        """Waits a little for deletions. What cannot be deleted is left to a sweep."""
        self._doomed.put(None)
        self._deleter.join(timeout_s)
        self._place.close()

    def _delete_doomed(self) -> None:
        failed: list[Doomed] = []
        while True:
            try:
                doomed = self._doomed.get(timeout=self._retry_s if failed else None)
            except queue.Empty:
                failed = [one for one in failed if not self._remove(one, logging.DEBUG)]
                continue
            if doomed is None:
                return
            if not self._remove(doomed, logging.WARNING):
                failed.append(doomed)
            elif failed:
                failed = [one for one in failed if not self._remove(one, logging.DEBUG)]

    def _remove(self, doomed: Doomed, level: int) -> bool:
        """`level`: of the log line, if it cannot be done now."""
        try:
            self._place.remove(doomed.job_id, doomed.attempts)
        except (StorageUnreachable, OSError) as error:
            logger.log(level, "prepared audio is deleted later: %s", error, extra={"job_id": doomed.job_id})
            return False
        return True


@dataclass(frozen=True, slots=True)
class Doomed:
    """Objects that are to be deleted. `attempts`: as in `Place.remove`."""

    job_id: str
    attempts: int | None


class BucketAudio:
    """`prepared/<job>/<name>` in a bucket."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    def put(self, job_id: str, name: str, data: bytes) -> None:
        self._bucket.put_bytes(f"{FOLDER}/{checked_id(job_id)}/{name}", data)

    def get(self, job_id: str, name: str) -> bytes:
        return self._bucket.get_bytes(f"{FOLDER}/{checked_id(job_id)}/{name}")

    def remove(self, job_id: str, attempts: int | None) -> None:
        folder = f"{FOLDER}/{checked_id(job_id)}"
        for name in list(self._bucket.list(folder)):
            if _is_of(name, attempts):
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
            self._write(part, data)
            os.replace(part, path)  # a reader never sees half of it

    def _write(self, part: Path, data: bytes) -> None:
        for _ in range(WRITE_TRIES - 1):
            make_folder(part.parent)
            with suppress(FileNotFoundError):
                part.write_bytes(data)
                return
        make_folder(part.parent)
        part.write_bytes(data)

    def get(self, job_id: str, name: str) -> bytes:
        return (self._root / checked_id(job_id) / name).read_bytes()

    def remove(self, job_id: str, attempts: int | None) -> None:
        folder = self._root / checked_id(job_id)
        with suppress(FileNotFoundError):
            for path in list(folder.iterdir()):
                if _is_of(path.name, attempts):
                    path.unlink()
        with suppress(OSError):  # a later attempt has files there
            folder.rmdir()

    def jobs(self) -> Iterator[str]:
        return (entry.name for entry in os.scandir(self._root))

    def close(self) -> None:
        """There is nothing to close."""


def _is_of(name: str, attempts: int | None) -> bool:
    """Whether an object is of one of the first so many attempts."""
    attempt = name.partition(".")[0]
    return attempts is None or (attempt.isdecimal() and int(attempt) <= attempts)
