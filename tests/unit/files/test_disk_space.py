from __future__ import annotations

from pathlib import Path

import pytest

from scrivano.domain.errors import StorageFull
from scrivano.files.disk_space import DiskSpace


class Disk:
    """Free bytes, set by the test; the reserve is not subtracted."""

    def __init__(self, free: int) -> None:
        self.free = free

    def __call__(self, folder: Path) -> int:
        return self.free


def settled(folder: Path, disk: Disk) -> DiskSpace:
    disk_space = DiskSpace(folder, min_free_bytes=1000, reserve_bytes=300, free=disk)
    disk_space.settle()
    return disk_space


def test_an_upload_must_leave_min_free_bytes(tmp_path: Path) -> None:
    disk_space = settled(tmp_path, Disk(5000))

    disk_space.admit(4000)
    with pytest.raises(StorageFull, match=r"MIN_FREE_BYTES.*purge=true"):
        disk_space.admit(4001)


def test_without_min_free_bytes_every_upload_is_admitted(tmp_path: Path) -> None:
    DiskSpace(tmp_path, free=Disk(0)).admit()


def test_the_reserve_exists_from_the_start_and_is_released_once(tmp_path: Path) -> None:
    disk = Disk(5000)
    disk_space = settled(tmp_path, disk)
    assert (tmp_path / "reserve").stat().st_size == 300

    disk_space.release()
    disk_space.release()
    assert disk_space.short
    assert not (tmp_path / "reserve").exists()


def test_the_reserve_is_restored_when_it_fits_beside_min_free_bytes(tmp_path: Path) -> None:
    disk = Disk(5000)
    disk_space = settled(tmp_path, disk)
    disk_space.release()

    disk.free = 1299
    disk_space.restore()
    assert disk_space.short
    with pytest.raises(StorageFull):
        disk_space.admit()
    disk.free = 1300
    disk_space.restore()
    assert not disk_space.short
    assert (tmp_path / "reserve").stat().st_size == 300


def test_a_start_on_a_full_disk_releases_the_old_reserve(tmp_path: Path) -> None:
    settled(tmp_path, Disk(5000))
    disk_space = settled(tmp_path, Disk(10))

    assert disk_space.short
    assert not (tmp_path / "reserve").exists()


@pytest.mark.parametrize("size", [0, 500])
def test_another_size_replaces_the_old_reserve(tmp_path: Path, size: int) -> None:
    settled(tmp_path, Disk(5000))
    disk_space = DiskSpace(tmp_path, min_free_bytes=0, reserve_bytes=size, free=Disk(5000))
    disk_space.settle()

    assert not disk_space.short
    assert [path.stat().st_size for path in tmp_path.iterdir()] == ([size] if size else [])


def test_a_reserve_for_which_there_is_no_space_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    disk_space = settled(tmp_path, Disk(1200))  # more than is left free, but not enough for the reserve, too

    assert disk_space.short
    assert caplog.messages == [
        "the disk has no space for the reserve of 300 bytes (RESERVE_BYTES): uploads are refused"
    ]
    with pytest.raises(StorageFull, match=r"less than 1300 bytes of it \(MIN_FREE_BYTES and RESERVE_BYTES\)"):
        disk_space.admit()


def test_a_first_start_does_not_speak_of_a_full_disk(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        settled(tmp_path, Disk(5000))

    assert caplog.messages == []
