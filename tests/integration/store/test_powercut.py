"""Power cuts: the model of the disk, and the store on it."""

from __future__ import annotations

import random
import shutil
import subprocess
from pathlib import Path, PurePath

import pytest

from torture.disk import Disk, Op, calls
from torture.powercut import cut, record

FOLDER = PurePath("/data")
FILE = FOLDER / "a"


def left(*ops: Op) -> set[bytes | None]:
    """What a file may hold after a cut; None: there is no file."""
    disk = Disk()
    for op in ops:
        disk.do(op)
    return {dict(disk.cut_off(random.Random(seed))).get(FILE) for seed in range(200)}


CREATED: list[Op] = [("create", FILE), ("sync", FOLDER)]


def test_what_was_synced_is_kept() -> None:
    assert left(*CREATED, ("write", FILE, 0, b"abc"), ("sync", FILE)) == {b"abc"}


def test_what_was_not_may_be_there_in_any_part() -> None:
    writes: list[Op] = [("write", FILE, 0, b"abc"), ("append", FILE, b"def")]

    assert left(*CREATED, *writes) == {b"", b"abc", b"\0\0\0def", b"abcdef"}


def test_a_long_write_may_be_torn_between_sectors() -> None:
    sizes = {len(content or b"") for content in left(*CREATED, ("write", FILE, 0, b"x" * 2048))}

    assert sizes == {0, 512, 1024, 1536, 2048}


def test_a_file_may_be_longer_again_where_a_cut_was_not_synced() -> None:
    assert left(*CREATED, ("write", FILE, 0, b"abc"), ("sync", FILE), ("cut", FILE, 1)) == {b"a", b"abc"}


def test_a_name_lasts_once_its_folder_was_synced() -> None:
    part = FOLDER / "a.part"
    made: list[Op] = [("create", part), ("write", part, 0, b"abc"), ("sync", part), ("rename", part, FILE)]

    assert left(*made) == {None, b"abc"}
    assert left(*made, ("sync", FOLDER)) == {b"abc"}
    assert left(*made, ("sync", FOLDER), ("remove", FILE)) == {None, b"abc"}


def test_the_trace_is_read() -> None:
    def hexed(text: str) -> str:
        return "".join(f"\\x{byte:02x}" for byte in text.encode())

    trace = [
        f'openat(AT_FDCWD<{hexed("/")}>, "{hexed("/data/a")}", O_RDWR|O_CREAT, 0600) = 3<{hexed("/data/a")}>',
        f'openat(AT_FDCWD<{hexed("/")}>, "{hexed("/etc/a")}", O_RDWR|O_CREAT, 0600) = 4<{hexed("/etc/a")}>',
        f'pwrite64(3<{hexed("/data/a")}>, "{hexed("abc")}", 3, 4096) = 2',
        f"fsync(3<{hexed('/data/a')}>) = -1 EIO (Input/output error)",
        f"fdatasync(3<{hexed('/data/a')}>) = 0",
        f'write(1<{hexed("/dev/null")}>, "{hexed("done")}", 4) = 4',
        f'rename("{hexed("/data/a")}", "{hexed("/data/b")}") = 0',
        "+++ exited with 0 +++",
    ]

    assert list(calls(iter(trace), FOLDER)) == [
        ("create", FILE),
        ("write", FILE, 4096, b"ab"),
        ("sync", FILE),
        ("say", "done"),
        ("rename", FILE, FOLDER / "b"),
    ]


@pytest.mark.slow
@pytest.mark.timeout(1500)
@pytest.mark.skipif(not shutil.which("strace"), reason="needs strace")
def test_our_settings_lose_nothing_and_laxer_ones_do(tmp_path: Path) -> None:
    found = {}
    for synchronous in ("FULL", "NORMAL"):
        folder = tmp_path / synchronous
        folder.mkdir()
        try:
            ops = record(folder, synchronous)
        except subprocess.CalledProcessError:
            pytest.skip("strace may not trace here")
        found[synchronous] = cut(ops, 40, 1, tmp_path / "after")

    assert found["FULL"].acknowledged > 500
    assert found["FULL"].lost == []
    assert found["NORMAL"].cuts_that_lost > 5
