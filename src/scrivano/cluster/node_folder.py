"""A folder of a process on a node, deleted at its end, or by a later process if it was killed."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

from scrivano.files.disk import make_folder

__all__ = ["NodeFolder"]

LOCK = "lock"


class NodeFolder:
    """A new folder in `root` (None: `scrivano-node-<user id>` in the system's folder for temporary files)."""

    def __init__(self, root: Path | None = None) -> None:
        """Also deletes what killed processes have left in `root`."""
        root = root or Path(tempfile.gettempdir()) / f"scrivano-node-{os.getuid()}"
        make_folder(root)
        for left in root.iterdir():
            _delete_unless_locked(left)
        self.path = Path(tempfile.mkdtemp(dir=root))
        self._lock = os.open(self.path / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)

    def close(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)


def _delete_unless_locked(folder: Path) -> None:
    with suppress(OSError):  # without a lock file, it is being made or being deleted
        lock = os.open(folder / LOCK, os.O_RDWR)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(lock)
