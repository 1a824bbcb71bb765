"""The lock that lets one server at a time use a data folder."""

from __future__ import annotations

import fcntl
import json
import os
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from scrivano.domain.addresses import authority
from scrivano.domain.errors import StartError
from scrivano.files.disk import FULL, make_folder, unwritable

__all__ = ["DataDirLock", "LockHolder"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LockHolder:
    """The server that uses a data folder. `host` and `port` are None until it listens; `since` is ISO 8601."""

    pid: int
    since: str
    host: str | None = None
    port: int | None = None

    def __str__(self) -> str:
        where = f", at http://{authority(self.host or '', self.port)}" if self.port else ""
        return f"process {self.pid}{where}, since {self.since}"


class DataDirLock:
    """An flock on the file `server.lock`, which also names the server that holds it.

    The operating system releases the lock when the process ends, whatever the reason; the file stays.
    """

    def __init__(self, folder: Path, *, since: datetime) -> None:
        """Create the folder if needed (for this user only) and take the lock.

        Raises `StartError` if another server has it, or the folder cannot be written to.
        """
        make_folder(folder)
        self._holder = LockHolder(pid=os.getpid(), since=since.isoformat(timespec="seconds"))
        self._fd = _open(folder)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._fd)
            raise _not_locked(folder, error) from error
        self._write(self._holder)

    def announce(self, *, host: str, port: int) -> None:
        """Record where this server listens, for clients and for the message that a second server shows."""
        self._write(LockHolder(pid=self._holder.pid, since=self._holder.since, host=host, port=port))

    def release(self) -> None:
        """Let another server use the folder. May be called twice."""
        if self._fd >= 0:
            os.ftruncate(self._fd, 0)
            os.close(self._fd)
            self._fd = -1

    @staticmethod
    def holder(folder: Path) -> LockHolder | None:
        """The last server that locked the folder. It may have been killed since: try to connect to be sure."""
        try:
            return LockHolder(**json.loads((folder / "server.lock").read_bytes()))
        except (OSError, ValueError, TypeError):
            return None

    def _write(self, holder: LockHolder) -> None:
        # One write of a fixed length: a reader never sees half of it, nor the end of a longer one.
        try:
            os.pwrite(self._fd, json.dumps(asdict(holder)).ljust(512).encode(), 0)
        except OSError as error:
            if error.errno not in FULL:  # on a full disk the lock is still held; only its holder's name is missing
                raise


def _open(folder: Path) -> int:
    try:
        return os.open(folder / "server.lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise unwritable(folder, error) from error


def _not_locked(folder: Path, error: OSError) -> StartError:
    if not isinstance(error, BlockingIOError):
        return StartError(
            f"cannot lock the data folder {folder} ({error.strerror}): set DATA_DIR to a folder on a disk that"
            " supports file locks"
        )
    holder = DataDirLock.holder(folder) or "another process"
    return StartError(
        f"the data folder {folder} is in use by {holder}: stop that server, or set DATA_DIR to another folder"
    )
