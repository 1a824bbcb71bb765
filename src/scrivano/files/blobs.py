"""Recordings and prepared audio under DATA_DIR.

A file is written once, under a name made from the job's id. A file name from a client is data and never gets here.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path

from scrivano.files.blob_writer import PART_SUFFIX, Blob, BlobWriter, PartWriter, RunningHash, part_of
from scrivano.files.disk import disk_errors, make_folder, sync, sync_folder
from scrivano.files.disk_space import DiskSpace

__all__ = ["Blobs"]

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")


class Blobs:
    """`uploads/<id>`, `prepared/<id>.<attempt>.pcm` and `.voices` under `root`; creates both folders, for this user
    only.

    `disk_space` limits how much may be written; None: no limit. `fsync` and `rename` are arguments so that tests can
    check their order.
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
            make_folder(folder)

    def create(self, job_id: str) -> BlobWriter:
        """A writer for a new upload; use it in a `with` block, which deletes the file unless it was committed."""
        return BlobWriter(self.path(job_id), self.disk_space, self._fsync, self._rename)

    def extend(self, job_id: str, offset_bytes: int, running_hash: RunningHash) -> PartWriter:
        """A writer for the next part of an upload that arrives in several requests; use it in a `with` block.

        Raises `FileNotFoundError` if the file does not exist and the offset is not 0, and `StorageFull`.
        """
        return PartWriter(part_of(self.path(job_id)), self.disk_space, offset_bytes, running_hash, self._fsync)

    def complete(self, job_id: str, running_hash: RunningHash) -> Blob:
        """Rename an upload that arrived in several requests to its final name.

        Its bytes must be synced. When this returns, the name survives a power cut too. May be called again after a
        crash. Raises `StorageFull`.
        """
        path = self.path(job_id)
        part = part_of(path)
        blob = running_hash.catch_up(part if part.exists() else path)
        with disk_errors(path.parent), suppress(FileNotFoundError):
            self._rename(part, path)
        sync_folder(path.parent, self._fsync)
        return blob

    def path(self, job_id: str) -> Path:
        """The path of an upload, whether it exists or not."""
        return self._uploads / _checked(job_id)

    def delete(self, job_id: str) -> None:
        """Delete an upload, complete or not, if it exists."""
        path = str(self.path(job_id))  # called for every job, and pathlib's own unlink takes longer than the disk
        for name in (path, path + PART_SUFFIX):
            with suppress(FileNotFoundError):
                os.unlink(name)

    def prepared_path(self, job_id: str, attempt: int) -> Path:
        """The path of an attempt's prepared audio. Each attempt has its own file, so a media child of an earlier
        attempt that still runs cannot damage it."""
        return self._prepared / f"{_checked(job_id)}.{attempt}.pcm"

    def voices_path(self, job_id: str, attempt: int) -> Path:
        """The path of a file in which the voices of a job's chunks go to the speakers child."""
        return self.prepared_path(job_id, attempt).with_suffix(".voices")

    def delete_prepared(self, job_id: str, attempts: int | None = None) -> None:
        """Delete the prepared audio, and voices, of every attempt. `attempts`: their number, if known; then no folder
        is listed."""
        if attempts is None:
            paths = list(self._prepared.glob(f"{_checked(job_id)}.*.*"))
        else:
            audio = [self.prepared_path(job_id, attempt) for attempt in range(1, attempts + 1)]
            paths = audio + [path.with_suffix(".voices") for path in audio]
        for path in paths:
            path.unlink(missing_ok=True)

    def sweep(self, keep: Collection[str], unfinished: Collection[str] = ()) -> int:
        """At startup: delete all files except the uploads of the jobs `keep` and the `unfinished` uploads.

        Prepared audio is deleted too, because it belongs to attempts of a server that has ended.
        Returns the number of deleted files.
        """
        names = {*keep, *unfinished, *(name + PART_SUFFIX for name in unfinished)}
        orphans = [path for path in self._uploads.iterdir() if path.name not in names]
        orphans += self._prepared.iterdir()
        for path in orphans:
            path.unlink()
        return len(orphans)


def _checked(job_id: str) -> str:
    """Raises ValueError: an id with other characters, such as `../x`, must never reach the file system."""
    if not _ID.fullmatch(job_id):
        raise ValueError(f"not a job id: {job_id!r}")
    return job_id
