"""What all writers need: private folders, fsync, and errors of a full disk."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from scrivano.domain.errors import StartError, StorageFull

# A file system takes no more bytes: no space, a quota, a limit on the size of files.
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def make_folder(folder: Path) -> None:
    """Create a folder that only this user may enter. Raises `StartError`."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(folder, error) from error


def unwritable(folder: Path, error: OSError) -> StartError:
    return StartError(f"cannot write to {folder} ({error.strerror}): set DATA_DIR to a folder that you may write to")


def sync(fd: int) -> None:
    """Wait until a file, or the entries of a folder, survive a power cut.

    On macOS, fsync stops at the drive's cache; F_FULLFSYNC flushes it too, on file systems that support it.
    """
    full = getattr(fcntl, "F_FULLFSYNC", None)
    if full is not None:
        with suppress(OSError):
            fcntl.fcntl(fd, full)
            return
    os.fsync(fd)


def sync_folder(folder: Path, fsync: Callable[[int], None]) -> None:
    """Make new names in a folder survive a power cut: syncing a file does not sync its name."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        fsync(fd)
    finally:
        os.close(fd)


@contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
    """Raise `StorageFull` in place of an `OSError` that says so."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise StorageFull(f"no space left in {folder} ({error.strerror}): free some space and send it again") from error
