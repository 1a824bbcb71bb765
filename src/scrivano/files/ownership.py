"""Files that root makes in the folder of another user get that user, so that the server can use them."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

__all__ = ["owned_like_folder"]


@contextmanager
def owned_like_folder(*folders: Path) -> Iterator[None]:
    """For a `with` block of root in which files are made: afterwards, those in `folders` belong to whom the folder
    belonged before. Does nothing for other users, and for folders of root or that did not exist."""
    owners = {folder: folder.stat() for folder in folders if os.geteuid() == 0 and folder.is_dir()}
    try:
        yield
    finally:
        for folder, owner in owners.items():
            if owner.st_uid != 0:
                _give(folder, owner)


def _give(folder: Path, owner: os.stat_result) -> None:
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = os.path.join(parent, name)
            with suppress(FileNotFoundError):  # A running server deletes files meanwhile.
                if _made_by_root(os.lstat(path)):
                    os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)


def _made_by_root(found: os.stat_result) -> bool:
    """Not a link to a file elsewhere, which the user of the folder could have made to get that file."""
    if found.st_uid != 0:
        return False
    return stat.S_ISDIR(found.st_mode) or (stat.S_ISREG(found.st_mode) and found.st_nlink == 1)
