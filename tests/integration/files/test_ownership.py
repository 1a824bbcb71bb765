"""Whom the files belong to that root makes for another user."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from scrivano.files.ownership import owned_like_folder

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def test_they_get_the_owner_of_the_folder_and_links_to_other_files_do_not(tmp_path: Path) -> None:
    folder, secret, other = tmp_path / "data", tmp_path / "secret", tmp_path / "other"
    secret.write_text("of root")
    other.mkdir()
    folder.mkdir()
    os.chown(folder, 12345, 23456)

    with owned_like_folder(folder, other, tmp_path / "missing"):
        (folder / "new").mkdir()
        (folder / "new" / "file").write_text("x")
        (folder / "hard").hardlink_to(secret)
        (folder / "soft").symlink_to(secret)
        (other / "file").write_text("x")

    for path in (folder / "new", folder / "new" / "file"):
        assert (path.stat().st_uid, path.stat().st_gid) == (12345, 23456)
    assert [path.lstat().st_uid for path in (secret, folder / "soft", other / "file")] == [0, 0, 0]
