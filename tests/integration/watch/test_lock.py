from __future__ import annotations

from pathlib import Path

import pytest

from scrivano.watch.lock import FolderInUse, folder_lock


def test_a_folder_is_locked_once_and_free_again_afterwards(tmp_path: Path) -> None:
    with folder_lock(tmp_path), pytest.raises(FolderInUse), folder_lock(tmp_path):
        pass
    with folder_lock(tmp_path):
        pass


def test_a_file_that_can_only_be_read_is_locked_too(tmp_path: Path) -> None:
    """Here a folder, which root may not open for writing either."""
    (tmp_path / ".scrivano-watch.lock").mkdir()

    with folder_lock(tmp_path), pytest.raises(FolderInUse), folder_lock(tmp_path):
        pass


def test_where_the_file_cannot_be_made_nothing_is_locked(tmp_path: Path) -> None:
    (tmp_path / ".scrivano-watch.lock").symlink_to("nowhere/file")

    with folder_lock(tmp_path), folder_lock(tmp_path):
        pass
