"""Recordings and prepared audio on a real disk."""

from __future__ import annotations

import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest

from scrivano.files.blob_writer import Blob
from scrivano.files.blobs import Blobs
from scrivano.files.data_dir_lock import DataDirLock

SINCE = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)


def upload(blobs: Blobs, job_id: str, data: bytes = b"sound") -> Blob:
    with blobs.create(job_id) as writer:
        writer.write(data)
        return writer.commit()


def files(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


@pytest.mark.parametrize("job_id", ["", ".", "..", "../a", "a/b", "/etc/passwd", "a.part", "-a", "a\0b", "a" * 200])
def test_only_plain_ids_reach_the_file_system(tmp_path: Path, job_id: str) -> None:
    blobs = Blobs(tmp_path)

    uses = (blobs.create, blobs.path, blobs.delete, blobs.delete_prepared)
    for use in (*uses, lambda name: blobs.prepared_path(name, 1)):
        with pytest.raises(ValueError, match="not a job id"):
            use(job_id)


@pytest.mark.parametrize("attempts", [None, 2])
def test_only_the_files_of_the_job_are_deleted(tmp_path: Path, attempts: int | None) -> None:
    blobs = Blobs(tmp_path)
    for job_id in ("a", "a-b"):
        upload(blobs, job_id)
        for attempt in (1, 2):
            blobs.prepared_path(job_id, attempt).touch()

    for _ in range(2):
        blobs.delete("a")
        blobs.delete_prepared("a", attempts)

    assert files(tmp_path) == {"uploads/a-b", "prepared/a-b.1.pcm", "prepared/a-b.2.pcm"}


def test_sweeping_keeps_the_uploads_of_unfinished_jobs(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    for job_id in ("a", "b", "c"):
        upload(blobs, job_id)
    blobs.path("d").with_name("d.part").touch()
    blobs.prepared_path("a", 1).touch()

    assert blobs.sweep({"a", "c"}) == 3
    assert files(tmp_path) == {"uploads/a", "uploads/c"}

    blobs.path("d").with_name("d.part").touch()
    assert blobs.sweep({"a"}, unfinished={"c", "d"}) == 0
    assert files(tmp_path) == {"uploads/a", "uploads/c", "uploads/d.part"}


def test_folders_are_for_this_user_only(tmp_path: Path) -> None:
    lock = DataDirLock(tmp_path / "new" / "data", since=SINCE)
    Blobs(tmp_path / "new" / "data")
    lock.release()

    for name in ("", "uploads", "prepared"):
        assert stat.S_IMODE((tmp_path / "new" / "data" / name).stat().st_mode) == 0o700
