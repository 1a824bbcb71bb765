"""Recordings, linked into a folder of their own for as long as a backup is made.

A server may delete or rename a recording meanwhile; the link keeps its bytes.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from scrivano.domain.errors import StartError
from scrivano.files.disk import make_folder
from scrivano.files.folder_blobs import UPLOADS

__all__ = ["Staging", "remove_stale_staging"]

FOLDER, LOCK = "backup", "backup.lock"


class Staging:
    """`DATA_DIR/backup`, for a `with` block, which deletes it. One process at a time. Raises `StartError`."""

    def __init__(self, root: Path) -> None:
        self.folder = root / FOLDER
        self._uploads = root / UPLOADS
        self._linked = self.folder / UPLOADS
        self._lock = _lock(root)
        _clear(self.folder)  # of a process that was killed
        make_folder(self._linked)

    def link(self) -> None:
        """Link all recordings that are there now. Where the file system has no links, they are copied."""
        with suppress(FileNotFoundError):  # a server that has never received anything
            for entry in os.scandir(self._uploads):
                target = self._linked / entry.name
                if not target.exists():
                    with suppress(FileNotFoundError):  # deleted or renamed a moment ago
                        _link_or_copy(Path(entry.path), target)

    def find(self, name: str) -> Path | None:
        path = self._linked / name
        return path if path.exists() else None

    def __enter__(self) -> Staging:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        _clear(self.folder)
        os.close(self._lock)


def remove_stale_staging(root: Path) -> None:
    """Delete what a killed backup has left, which keeps deleted recordings on the disk. For the server's start."""
    if not (root / FOLDER).exists():
        return
    with suppress(StartError, OSError), Staging(root):  # else a backup is being made
        pass


def _lock(root: Path) -> int:
    fd = os.open(root / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(fd)
        raise StartError(f"another backup of {root} is being made: wait until it ends") from error
    return fd


def _clear(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise
    except OSError:
        shutil.copyfile(source, target)
