"""The data folder that a command writes, locked against servers, and left as it was if the command fails."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from scrivano.files.data_dir_lock import DataDirLock

__all__ = ["locked_folder"]


@contextmanager
def locked_folder(folder: Path, now: Callable[[], datetime]) -> Iterator[None]:
    """Make the folder, and keep servers out of it. If the block fails, a folder that was not there or had nothing in
    it is so again.

    Raises `StartError`: a server uses the folder, or it cannot be written.
    """
    made = [one for one in (folder, *folder.parents) if not one.exists()]
    empty = not made and not any(folder.iterdir())
    lock = DataDirLock(folder, since=now())
    try:
        yield
    except BaseException:
        if made or empty:
            _empty(folder)
        with suppress(OSError):  # Another program may use a folder above it by now.
            for one in made:
                one.rmdir()
        raise
    finally:
        lock.release()


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
