"""DiskSpace on the disk: how much must stay free, and a reserve that is given up when there is none."""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from scrivano.domain.errors import StorageFull

__all__ = ["FULL", "DiskSpace"]

logger = logging.getLogger(__name__)

# How a file system says that it takes no more: no space, a quota, a limit on the size of files.
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

BLOCK_BYTES = 1024 * 1024


def free_bytes(folder: Path) -> int:
    """What this user may still write there."""
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize


class DiskSpace:
    """The disk under a folder. Any thread may ask; one thread calls `settle` and `restore`.

    `min_free_bytes`: what no upload may take. `reserve_bytes`: the size of the file `reserve`, which is deleted when
    the disk is full, so that the database can still be written to: running jobs end, and old ones can be deleted.
    0: neither. `short`: the reserve is given up.
    """

    def __init__(
        self,
        folder: Path,
        *,
        min_free_bytes: int = 0,
        reserve_bytes: int = 0,
        free: Callable[[Path], int] = free_bytes,
    ) -> None:
        self.short = False
        self._folder = folder
        self._path = folder / "reserve"
        self._min_free_bytes = min_free_bytes
        self._reserve_bytes = reserve_bytes
        self._free = free

    def admit(self, size_bytes: int = 0) -> None:
        """The one question before anything of a caller's is kept. Raises `StorageFull` where so much more is too much.

        A few microseconds, on a local disk: no need for a thread.
        """
        if not self._fits(size_bytes):
            raise StorageFull(
                f"the server's disk is nearly full: no upload may leave less than {self._min_free_bytes} bytes of it"
                " (MIN_FREE_BYTES). Delete jobs that nobody needs (DELETE /jobs/{id}?purge=true), free some space"
                " otherwise, or send it again later"
            )

    def settle(self) -> None:
        """At start: make the reserve, or give up the one that an earlier server left where there is too little room."""
        if not self._fits(0):
            self.release()
        elif self._size() != self._reserve_bytes:
            self._path.unlink(missing_ok=True)
            self.short = bool(self._reserve_bytes)
            self.restore()

    def release(self) -> None:
        """The disk is full: give up the reserve. Never raises; calling it again is fine."""
        if not self.short and self._reserve_bytes:
            self.short = True
            logger.error("the disk is nearly full: no upload is taken, and the reserve is given up")
        with suppress(OSError):
            self._path.unlink(missing_ok=True)

    def restore(self) -> None:
        """Make the reserve again once there is room for it. Cheap where there is nothing to do; never raises."""
        if self.short and self._fits(0):
            try:
                self._allocate()
            except OSError as error:
                logger.warning("the reserve cannot be made: %s", error)
                self.release()
            else:
                self.short = False
                logger.info("there is room on the disk again")

    def _fits(self, size_bytes: int) -> bool:
        owed = self._reserve_bytes if self.short else 0
        return self._free(self._folder) - size_bytes - owed >= self._min_free_bytes

    def _size(self) -> int:
        try:
            return self._path.stat().st_size
        except OSError:
            return 0

    def _allocate(self) -> None:
        fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(fd, 0, self._reserve_bytes)
            else:  # macOS
                for done in range(0, self._reserve_bytes, BLOCK_BYTES):
                    os.write(fd, os.urandom(min(BLOCK_BYTES, self._reserve_bytes - done)))
        finally:
            os.close(fd)
