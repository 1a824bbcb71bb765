"""The lock on the data folder, between processes."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from scrivano.domain.errors import StartError
from scrivano.files.data_dir_lock import DataDirLock

SINCE = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_a_second_server_is_refused_and_the_message_names_the_first(tmp_path: Path) -> None:
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
        "import sys, pathlib, datetime; from scrivano.files.data_dir_lock import DataDirLock;"
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


def test_a_folder_that_cannot_be_created_gives_one_clear_message(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    for folder in (tmp_path / "file", tmp_path / "file" / "data"):
        with pytest.raises(StartError, match=r"^cannot write to .*file.*: set DATA_DIR to a folder that you may write"):
            DataDirLock(folder, since=SINCE)
