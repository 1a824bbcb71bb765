"""Uploads, prepared audio and the lock on the data folder, on a real disk."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
from store_support import file_size_limit

import scrivano.files.blobs
from scrivano.domain.errors import StartError, StorageFull
from scrivano.files.blobs import Blob, Blobs, DataDirLock, RunningHash

SINCE = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)


def upload(blobs: Blobs, job_id: str, data: bytes = b"sound") -> Blob:
    with blobs.create(job_id) as writer:
        writer.write(data)
        return writer.commit()


def files(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


def test_an_upload_lies_in_its_place_with_its_hash(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
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


def test_the_file_is_on_disk_before_its_name_and_its_name_before_the_answer(tmp_path: Path) -> None:
    steps: list[str] = []

    def fsync(fd: int) -> None:
        kind = "folder" if stat.S_ISDIR(os.fstat(fd).st_mode) else f"file of {os.fstat(fd).st_size}"
        steps.append(f"fsync {kind}")

    def rename(source: Path, target: Path) -> None:
        steps.append(f"rename {source.name} {target.name}")
        os.replace(source, target)

    upload(Blobs(tmp_path, fsync=fsync, rename=rename), "a", b"12345")

    assert steps == ["fsync file of 5", "rename a.part a", "fsync folder"]


def test_what_was_not_committed_goes(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)

    with blobs.create("a") as writer:
        writer.write(b"half")
    with suppress(RuntimeError), blobs.create("b") as writer:
        writer.write(b"half")
        raise RuntimeError
    writer.abort()

    assert files(tmp_path) == set()


@pytest.mark.parametrize("job_id", ["", ".", "..", "../a", "a/b", "/etc/passwd", "a.part", "-a", "a\0b", "a" * 200])
def test_only_plain_ids_reach_the_file_system(tmp_path: Path, job_id: str) -> None:
    blobs = Blobs(tmp_path)

    uses = (blobs.create, blobs.path, blobs.delete, blobs.delete_prepared)
    for use in (*uses, lambda name: blobs.prepared_path(name, 1)):
        with pytest.raises(ValueError, match="not a job id"):
            use(job_id)


@pytest.mark.parametrize("size", [300_000, 6_000], ids=["on writing", "on flushing"])
def test_a_full_disk_is_said_so_and_leaves_nothing(tmp_path: Path, size: int) -> None:
    blobs = Blobs(tmp_path)

    def fill() -> None:
        with blobs.create("a") as writer:
            for _ in range(size // 1000):
                writer.write(b"x" * 1000)
            writer.commit()

    with file_size_limit(5_000), pytest.raises(StorageFull, match="no room left"):
        fill()

    assert files(tmp_path) == set()
    assert upload(blobs, "a").size_bytes == 5


@pytest.mark.parametrize("attempts", [None, 2])
def test_deleting_takes_a_job_s_own_files_only(tmp_path: Path, attempts: int | None) -> None:
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


def refuse(*args: int) -> None:
    raise OSError(errno.EINVAL, "no advice is taken here")


@pytest.mark.parametrize("advise", [getattr(os, "posix_fadvise", None), refuse, None])
def test_what_goes_to_disk_early_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, advise: Callable[..., None] | None
) -> None:
    monkeypatch.delattr(os, "posix_fadvise", raising=False)
    if advise is not None:
        monkeypatch.setattr(os, "posix_fadvise", advise, raising=False)
    monkeypatch.setattr(scrivano.files.blobs, "_WRITE_BYTES", 1000)
    monkeypatch.setattr(scrivano.files.blobs, "_WRITEBACK_BYTES", 10_000)
    blobs, data = Blobs(tmp_path), os.urandom(100_001)
    with blobs.create("a") as writer:
        for start in range(0, len(data), 3333):
            writer.write(data[start : start + 3333])
        blob = writer.commit()

    assert blob == Blob(hashlib.sha256(data).hexdigest(), len(data))
    assert blobs.path("a").read_bytes() == data


@pytest.mark.parametrize("remembered", [True, False])
def test_an_upload_in_parts_has_the_hash_of_the_whole(tmp_path: Path, remembered: bool) -> None:
    blobs, data = Blobs(tmp_path), os.urandom(300_000)
    running = RunningHash()
    for start in range(0, len(data), 70_000):
        with blobs.extend("a", start, running if remembered else RunningHash()) as writer:
            for piece in (data[start : start + 9], data[start + 9 : start + 70_000]):
                writer.write(piece)
            # A part that did not count is written over.
            if start == 70_000:
                with blobs.extend("a", start + 70_000, RunningHash()) as lost:
                    lost.write(b"lost" * 10)
            writer.sync()
            running = writer.running.copy()

    expected = Blob(hashlib.sha256(data).hexdigest(), len(data))
    assert blobs.settle("a", running if remembered else RunningHash()) == expected
    assert blobs.settle("a", RunningHash()) == expected, "also after a crash, before anybody was told"
    assert blobs.path("a").read_bytes() == data
    assert files(tmp_path) == {"uploads/a"}


def test_a_part_is_on_disk_with_its_name_when_it_is_synced(tmp_path: Path) -> None:
    synced: list[str] = []
    blobs = Blobs(tmp_path, fsync=lambda fd: synced.append(os.readlink(f"/proc/self/fd/{fd}")))
    with blobs.extend("a", 0, RunningHash()) as writer:
        writer.write(b"sound")
        writer.sync()
        writer.sync()

    part, folder = str(tmp_path / "uploads" / "a.part"), str(tmp_path / "uploads")
    assert synced == [part, folder, part]


def test_a_part_goes_on_only_where_there_is_one(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Blobs(tmp_path).extend("a", 5, RunningHash())

    assert files(tmp_path) == set()


def test_a_full_disk_is_said_so_in_parts_too(tmp_path: Path) -> None:
    full = pytest.raises(StorageFull, match="free some space")
    with Blobs(tmp_path).extend("a", 0, RunningHash()) as writer, file_size_limit(100_000), full:
        writer.write(bytes(200_000))


def test_folders_are_for_this_user_only(tmp_path: Path) -> None:
    lock = DataDirLock(tmp_path / "new" / "data", since=SINCE)
    Blobs(tmp_path / "new" / "data")
    lock.release()

    for name in ("", "uploads", "prepared"):
        assert stat.S_IMODE((tmp_path / "new" / "data" / name).stat().st_mode) == 0o700


def test_a_second_server_is_told_who_holds_the_folder(tmp_path: Path) -> None:
    first = DataDirLock(tmp_path, since=SINCE)
    with pytest.raises(StartError, match=rf"in use by process {os.getpid()}, since 2030-01-02T03:04:05\+00:00: stop"):
        DataDirLock(tmp_path, since=SINCE)
    first.announce(host="127.0.0.1", port=8080)
    with pytest.raises(StartError, match=rf"process {os.getpid()}, at http://127\.0\.0\.1:8080, since"):
        DataDirLock(tmp_path, since=SINCE)

    holder = DataDirLock.holder(tmp_path)
    assert holder is not None
    assert (holder.host, holder.port) == ("127.0.0.1", 8080)

    first.release()
    first.release()
    assert DataDirLock.holder(tmp_path) is None
    DataDirLock(tmp_path, since=SINCE).release()


def test_a_killed_server_leaves_no_lock(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib, datetime; from scrivano.files.blobs import DataDirLock;"
        "lock = DataDirLock(pathlib.Path(sys.argv[1]), since=datetime.datetime.now(datetime.UTC));"
        "print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "held\n"
        with pytest.raises(StartError, match=f"in use by process {child.pid}"):
            DataDirLock(tmp_path, since=SINCE)
        child.kill()

    DataDirLock(tmp_path, since=SINCE).release()


def test_a_folder_that_cannot_be_made_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    for folder in (tmp_path / "file", tmp_path / "file" / "data"):
        with pytest.raises(StartError, match=r"^cannot write to .*file.*: set DATA_DIR to a folder that you may write"):
            DataDirLock(folder, since=SINCE)
