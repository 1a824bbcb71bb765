"""The lock that lets one command at a time watch a folder."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

__all__ = ["FolderInUse", "folder_lock"]

LOCK = ".scrivano-watch.lock"


class FolderInUse(Exception):
    """Another command watches the folder."""


@contextmanager
def folder_lock(root: Path) -> Iterator[None]:
    """Hold an flock on a hidden file in the folder; the operating system releases it however the process ends.

    The file stays: to delete it would let two others lock two files. Where there are no locks (some network shares), or
    the file cannot be made, nothing is locked. Raises `FolderInUse`.
    """
    fd = -1
    for flags in (os.O_RDWR | os.O_CREAT, os.O_RDONLY):  # another user's file may only be readable
        if fd < 0:
            with suppress(OSError):
                fd = os.open(root / LOCK, flags | os.O_CLOEXEC, 0o666)
    try:
        _lock(fd)
        yield
    finally:
        if fd >= 0:
            os.close(fd)


def _lock(fd: int) -> None:
    try:
        if fd >= 0:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise FolderInUse from error
    except OSError:
        pass
