"""Free disk space: how much uploads must leave, and a reserve that is released when the disk is full."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from scrivano.domain.errors import StorageFull

__all__ = ["DiskSpace", "free_bytes"]

logger = logging.getLogger(__name__)

# Bytes per write, where the reserve cannot be allocated in one call.
BLOCK_BYTES = 1024 * 1024


def free_bytes(folder: Path) -> int:
    """How many bytes this user can still write there."""
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize


class DiskSpace:
    """The disk of a folder. Any thread may call `admit` and `release`; one thread calls `settle` and `restore`.

    `min_free_bytes`: uploads must leave this much. `reserve_bytes`: the size of the file `reserve`, which is deleted
    when the disk is full, so that the database can still be written to: running jobs end, and old jobs can be deleted.
    0 turns either off. `short`: the reserve is released.
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
        """Check that `size_bytes` more may be stored for a client. Raises `StorageFull`.

        Takes a few microseconds on a local disk, so it may be called from the event loop.
        """
        if not self._fits(size_bytes):
            why = "MIN_FREE_BYTES and RESERVE_BYTES" if self.short else "MIN_FREE_BYTES"
            raise StorageFull(
                f"the server's disk is nearly full: no upload may leave less than {self._kept_bytes} bytes of it"
                f" ({why}). Delete jobs that are no longer needed (DELETE /jobs/{{id}}?purge=true), free other disk"
                " space, or send it again later"
            )

    def settle(self) -> None:
        """At startup: make the reserve, or release the reserve of an earlier server if the disk is nearly full."""
        if not self._fits(0):
            self.release()
        elif self._size() != self._reserve_bytes:
            self._path.unlink(missing_ok=True)
            self.short = bool(self._reserve_bytes)
            if not self._make_reserve() and self.short:
                logger.error(
                    "the disk has no space for the reserve of %d bytes (RESERVE_BYTES): uploads are refused",
                    self._reserve_bytes,
                )

    def release(self) -> None:
        """The disk is full: delete the reserve. Never raises; may be called again."""
        if not self.short and self._reserve_bytes:
            self.short = True
            logger.error("the disk is nearly full: uploads are refused, and the reserve is released")
        with suppress(OSError):
            self._path.unlink(missing_ok=True)

    def restore(self) -> None:
        """Make the reserve again as soon as there is space for it. Cheap if there is nothing to do; never raises."""
        if self._make_reserve():
            logger.info("there is enough free disk space again")

    def _make_reserve(self) -> bool:
        """Returns whether the reserve is missing no longer."""
        if not (self.short and self._fits(0)):
            return False
        try:
            self._allocate()
        except OSError as error:
            logger.warning("cannot make the reserve: %s", error)
            self.release()
            return False
        self.short = False
        return True

    def _fits(self, size_bytes: int) -> bool:
        return self._free(self._folder) - size_bytes >= self._kept_bytes

    @property
    def _kept_bytes(self) -> int:
        # A released reserve is made again first, so uploads may not use its space.
        return self._min_free_bytes + (self._reserve_bytes if self.short else 0)

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
