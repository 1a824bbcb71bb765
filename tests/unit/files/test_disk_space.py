from __future__ import annotations

from pathlib import Path

import pytest

from scrivano.domain.errors import StorageFull
from scrivano.files.disk_space import DiskSpace


class Disk:
    """Free bytes; a reserve is not counted, so that each test says what there is."""

    def __init__(self, free: int) -> None:
        self.free = free

    def __call__(self, folder: Path) -> int:
        return self.free


def room(folder: Path, disk: Disk) -> DiskSpace:
    room = DiskSpace(folder, min_free_bytes=1000, reserve_bytes=300, free=disk)
    room.settle()
    return room


def test_an_upload_leaves_the_floor_free(tmp_path: Path) -> None:
    one = room(tmp_path, Disk(5000))

    one.admit(4000)
    with pytest.raises(StorageFull, match=r"MIN_FREE_BYTES.*purge=true"):
        one.admit(4001)


def test_without_a_floor_everything_is_tried(tmp_path: Path) -> None:
    DiskSpace(tmp_path, free=Disk(0)).admit()


def test_the_reserve_is_there_from_the_start_and_given_up_once(tmp_path: Path) -> None:
    disk = Disk(5000)
    one = room(tmp_path, disk)
    assert (tmp_path / "reserve").stat().st_size == 300

    one.release()
    one.release()
    assert one.short
    assert not (tmp_path / "reserve").exists()


def test_the_reserve_comes_back_when_there_is_room_for_it_and_for_the_floor(tmp_path: Path) -> None:
    disk = Disk(5000)
    one = room(tmp_path, disk)
    one.release()

    disk.free = 1299
    one.restore()
    assert one.short
    with pytest.raises(StorageFull):
        one.admit()
    disk.free = 1300
    one.restore()
    assert not one.short
    assert (tmp_path / "reserve").stat().st_size == 300


def test_a_start_on_a_full_disk_gives_the_old_reserve_up(tmp_path: Path) -> None:
    room(tmp_path, Disk(5000))
    one = room(tmp_path, Disk(10))

    assert one.short
    assert not (tmp_path / "reserve").exists()


@pytest.mark.parametrize("size", [0, 500])
def test_another_size_replaces_the_old_reserve(tmp_path: Path, size: int) -> None:
    room(tmp_path, Disk(5000))
    one = DiskSpace(tmp_path, min_free_bytes=0, reserve_bytes=size, free=Disk(5000))
    one.settle()

    assert not one.short
    assert [path.stat().st_size for path in tmp_path.iterdir()] == ([size] if size else [])
