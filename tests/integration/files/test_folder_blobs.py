"""Recordings and prepared audio on a real disk."""

from __future__ import annotations

import os
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest

from scrivano.domain.errors import StartError
from scrivano.files.blob_writer import Blob
from scrivano.files.data_dir_lock import DataDirLock
from scrivano.files.folder_blobs import ARRIVING_S, FolderBlobs
from scrivano.files.prepared import PreparedFiles

SINCE = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)


def upload(blobs: FolderBlobs, job_id: str, data: bytes = b"sound") -> Blob:
    with blobs.create(job_id) as writer:
        writer.write(data)
        return writer.commit()


def files(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


def test_sweeping_keeps_the_uploads_of_unfinished_jobs(tmp_path: Path) -> None:
    blobs = FolderBlobs(tmp_path)
    for job_id in ("a", "b", "c"):
        upload(blobs, job_id)
    blobs.path("d").with_name("d.part").touch()

    assert blobs.sweep({"a", "c"}) == 2
    assert files(tmp_path) == {"uploads/a", "uploads/c"}

    blobs.path("d").with_name("d.part").touch()
    assert blobs.sweep({"a"}, unfinished={"c", "d"}) == 0
    assert files(tmp_path) == {"uploads/a", "uploads/c", "uploads/d.part"}


def test_a_shared_folder_is_not_swept_at_the_start(tmp_path: Path) -> None:
    blobs = FolderBlobs(tmp_path, shared=True)
    upload(blobs, "another-servers")
    arriving, forgotten = (blobs.path(name).with_name(f"{name}.part") for name in ("arriving", "forgotten"))
    arriving.touch()
    forgotten.touch()
    before = SINCE.now().timestamp() - ARRIVING_S - 10
    os.utime(forgotten, (before, before))

    assert blobs.sweep(set()) == 0
    assert set(blobs.stored()) == {"another-servers", "forgotten"}

    blobs.delete("forgotten")
    assert files(tmp_path) == {"uploads/another-servers", "uploads/arriving.part"}


def test_a_folder_that_is_gone_is_told(tmp_path: Path) -> None:
    blobs = FolderBlobs(tmp_path)
    (tmp_path / "uploads").rmdir()

    assert "restore DATA_DIR" in (blobs.fault() or "")
    with pytest.raises(StartError, match="DATA_DIR"):
        blobs.check()


def test_folders_are_for_this_user_only(tmp_path: Path) -> None:
    lock = DataDirLock(tmp_path / "new" / "data", since=SINCE)
    FolderBlobs(tmp_path / "new" / "data")
    PreparedFiles(tmp_path / "new" / "data")
    lock.release()

    for name in ("", "uploads", "prepared"):
        assert stat.S_IMODE((tmp_path / "new" / "data" / name).stat().st_mode) == 0o700


@pytest.mark.parametrize("sides", [True, False])
def test_only_the_prepared_files_of_the_job_are_deleted(tmp_path: Path, sides: bool) -> None:
    prepared = PreparedFiles(tmp_path)
    for job_id in ("a", "a-b"):
        for attempt in (1, 2):
            prepared.audio_path(job_id, attempt).touch()
    prepared.voices_path("a", 1).touch()

    for _ in range(2):
        prepared.delete("a", 2, sides=sides)

    assert files(tmp_path) == {"prepared/a-b.1.pcm", "prepared/a-b.2.pcm"}
    assert (prepared.sweep(), files(tmp_path)) == (2, set())
    with pytest.raises(ValueError, match="not a job id"):
        prepared.audio_path("../a", 1)
