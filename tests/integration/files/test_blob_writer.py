"""Uploads on a real disk, in one request and in several."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from store_support import file_size_limit

import scrivano.files.blob_writer
from scrivano.domain.errors import StorageFull
from scrivano.files.blob_writer import Blob, RunningHash
from scrivano.files.folder_blobs import FolderBlobs


def upload(blobs: FolderBlobs, job_id: str, data: bytes = b"sound") -> Blob:
    with blobs.create(job_id) as writer:
        writer.write(data)
        return writer.commit()


def files(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


def test_a_committed_upload_has_its_name_and_its_hash(tmp_path: Path) -> None:
    blobs = FolderBlobs(tmp_path)
    data = os.urandom(3_000_000)

    with blobs.create("a") as writer:
        for start in range(0, len(data), 65_537):
            writer.write(data[start : start + 65_537])
        assert files(tmp_path) == {"uploads/a.part"}
        blob = writer.commit()

    assert blob == Blob(hashlib.sha256(data).hexdigest(), len(data))
    assert blobs.path("a").read_bytes() == data
    assert files(tmp_path) == {"uploads/a"}
    assert stat.S_IMODE(blobs.path("a").stat().st_mode) == 0o600


def test_the_bytes_are_synced_before_the_rename_and_the_folder_after_it(tmp_path: Path) -> None:
    steps: list[str] = []

    def fsync(fd: int) -> None:
        kind = "folder" if stat.S_ISDIR(os.fstat(fd).st_mode) else f"file of {os.fstat(fd).st_size}"
        steps.append(f"fsync {kind}")

    def rename(source: Path, target: Path) -> None:
        steps.append(f"rename {source.name} {target.name}")
        os.replace(source, target)

    upload(FolderBlobs(tmp_path, fsync=fsync, rename=rename), "a", b"12345")

    assert steps == ["fsync file of 5", "rename a.part a", "fsync folder"]


def test_an_upload_that_was_not_committed_is_deleted(tmp_path: Path) -> None:
    blobs = FolderBlobs(tmp_path)

    with blobs.create("a") as writer:
        writer.write(b"half")
    with suppress(RuntimeError), blobs.create("b") as writer:
        writer.write(b"half")
        raise RuntimeError
    writer.abort()

    assert files(tmp_path) == set()


@pytest.mark.parametrize("size", [300_000, 6_000], ids=["on writing", "on flushing"])
def test_a_full_disk_is_reported_and_no_file_is_left(tmp_path: Path, size: int) -> None:
    blobs = FolderBlobs(tmp_path)

    def fill() -> None:
        with blobs.create("a") as writer:
            for _ in range(size // 1000):
                writer.write(b"x" * 1000)
            writer.commit()

    with file_size_limit(5_000), pytest.raises(StorageFull, match="no space left"):
        fill()

    assert files(tmp_path) == set()
    assert upload(blobs, "a").size_bytes == 5


def refuse(*args: int) -> None:
    raise OSError(errno.EINVAL, "no advice is supported here")


@pytest.mark.parametrize("advise", [getattr(os, "posix_fadvise", None), refuse, None])
def test_early_writeback_changes_no_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, advise: Callable[..., None] | None
) -> None:
    monkeypatch.delattr(os, "posix_fadvise", raising=False)
    if advise is not None:
        monkeypatch.setattr(os, "posix_fadvise", advise, raising=False)
    monkeypatch.setattr(scrivano.files.blob_writer, "WRITE_BYTES", 1000)
    monkeypatch.setattr(scrivano.files.blob_writer, "WRITEBACK_BYTES", 10_000)
    blobs, data = FolderBlobs(tmp_path), os.urandom(100_001)
    with blobs.create("a") as writer:
        for start in range(0, len(data), 3333):
            writer.write(data[start : start + 3333])
        blob = writer.commit()

    assert blob == Blob(hashlib.sha256(data).hexdigest(), len(data))
    assert blobs.path("a").read_bytes() == data


def test_a_part_is_on_disk_with_its_name_when_it_is_synced(tmp_path: Path) -> None:
    synced: list[str] = []
    blobs = FolderBlobs(tmp_path, fsync=lambda fd: synced.append(os.readlink(f"/proc/self/fd/{fd}")))
    with blobs.extend("a", 0, RunningHash()) as writer:
        writer.write(b"sound")
        writer.sync()
        writer.sync()

    part, folder = str(tmp_path / "uploads" / "a.part"), str(tmp_path / "uploads")
    assert synced == [part, folder, part]


def test_a_part_after_the_first_needs_the_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        FolderBlobs(tmp_path).extend("a", 5, RunningHash())

    assert files(tmp_path) == set()


def test_a_full_disk_is_reported_for_parts_too(tmp_path: Path) -> None:
    full = pytest.raises(StorageFull, match="free some space")
    with FolderBlobs(tmp_path).extend("a", 0, RunningHash()) as writer, file_size_limit(100_000), full:
        writer.write(bytes(200_000))
