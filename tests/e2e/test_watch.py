"""`scrivano watch` and WATCH_FOLDER, with the bundled model."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from served import CATALOG, DATA, TIMEOUT_S, served, start, until

CLIP = "en-exact-0.flac"
QUICK = ("--poll", "0.2", "--settle", "0.4")


def watch(folder: Path, *arguments: str, **env: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "scrivano", "watch", str(folder), *QUICK, *arguments]
    return subprocess.Popen(command, env={**os.environ, **env}, stderr=subprocess.PIPE, text=True)


def arrive(name: str, path: Path) -> None:
    """Whole, at once: a copy that is interrupted for longer than the watcher waits would be taken for a recording."""
    part = path.with_name(f".{path.name}.part")
    shutil.copy(DATA / name, part)
    part.rename(path)


def text(path: Path) -> str:
    return " ".join(path.read_text().split())


def test_recordings_are_transcribed_by_a_running_server_and_a_killed_watcher_goes_on(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    with served(tmp_path / "data") as server:
        with watch(folder, "--server", server.url) as first:
            arrive(CLIP, folder / "a.flac")
            journal = folder / ".scrivano-watch.json"
            until(lambda: journal.exists() and "a.flac" in journal.read_text())
            with watch(folder, "--server", server.url, "--once") as other:
                told = other.communicate()[1]
            first.kill()
        arrive(CLIP, folder / "copy.flac")
        (folder / "broken.mp3").write_bytes(b"not a recording")
        with watch(folder, "--server", server.url, "--once") as second:
            said = second.communicate()[1]
        jobs = server.http.get("/jobs").json()["jobs"]

    assert (other.returncode, "another `scrivano watch` is at work" in told) == (2, True), told
    assert second.returncode == 1, said
    assert text(folder / "a.txt") == text(folder / "copy.txt") == CATALOG[CLIP]["text"]
    assert (folder / "a.srt").read_text().startswith("1\n00:00:0")
    assert "not a recording" in (folder / "broken.mp3.error").read_text()
    assert len(jobs) == 2, "one for both copies, one for the broken file"


def test_without_a_server_one_is_started_and_a_signal_ends_both(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    shutil.copy(DATA / CLIP, folder / "a.flac")
    with watch(
        folder, "--model", "nano", "--format", "vtt", "--format", "vtt", DATA_DIR=str(tmp_path / "data")
    ) as process:
        until(lambda: (folder / "a.vtt").exists())
        process.send_signal(signal.SIGTERM)
        process.communicate()

    assert process.returncode == 0
    assert CATALOG[CLIP]["text"].split()[0] in (folder / "a.vtt").read_text()
    assert not (folder / "a.srt").exists()


def test_the_server_itself_watches_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    env = {"WATCH_FOLDER": str(folder), "WATCH_FORMATS": "txt", "WATCH_SETTLE_SECS": "0.3"}
    with served(tmp_path / "data", **env) as server:
        arrive(CLIP, folder / "a.flac")
        until(lambda: (folder / "a.txt").exists())
        server.process.kill()
        server.process.wait()
        arrive("it-exact-0.flac", folder / "b.flac")
    with served(tmp_path / "data", **env) as server:
        until(lambda: (folder / "b.txt").exists())
        jobs = server.http.get("/jobs").json()["jobs"]

    assert text(folder / "a.txt") == CATALOG[CLIP]["text"]
    assert text(folder / "b.txt") == CATALOG["it-exact-0.flac"]["text"]
    assert [job["filename"] for job in jobs] == ["b.flac", "a.flac"]


def test_a_folder_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    with start(tmp_path / "data", WATCH_FOLDER=str(tmp_path / "nowhere")) as process:
        said = process.communicate(timeout=TIMEOUT_S)[0]
    with watch(tmp_path / "nowhere") as command:
        told = command.communicate(timeout=TIMEOUT_S)[1]

    assert (process.returncode, "WATCH_FOLDER is" in said) == (2, True)
    assert (command.returncode, "is not a folder" in told) == (2, True)


@pytest.mark.skipif(sys.platform == "darwin", reason="its file systems refuse such names")
def test_recordings_whose_names_are_not_utf_8_are_transcribed(tmp_path: Path) -> None:
    folder, recording, shown = tmp_path / "in", os.fsdecode(b"\xff\xfe.flac"), "��.flac"
    folder.mkdir()
    shutil.copy(DATA / CLIP, folder / recording)
    env = {"WATCH_FOLDER": str(folder), "WATCH_FORMATS": "txt", "WATCH_SETTLE_SECS": "0.3"}
    with served(tmp_path / "data", **env) as server:
        until(lambda: (folder / recording).with_suffix(".txt").exists())
        command = [sys.executable, "-m", "scrivano", "transcribe", str(folder / recording), str(DATA / CLIP)]
        done = subprocess.run([*command, "--server", server.url], capture_output=True, text=True)
        jobs = server.http.get("/jobs").json()["jobs"]

    assert done.returncode == 0, done.stderr
    assert f"==> {shown} <==" in done.stdout
    assert [job["filename"] for job in jobs] == [CLIP, shown, shown]
