"""`scrivano backup`, `restore` and `migrate` with a running server, and killed in the middle."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from served import CATALOG, DATA, served, text_of, until

CLIP = "en-exact-0.flac"
EARLIER = "9f1b9e3c-0000-4a00-8000-000000000001"


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "scrivano", *map(str, arguments)]


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*arguments), capture_output=True, text=True, timeout=120)


def kill_when(condition: Callable[[], bool], *arguments: str | Path) -> bool:
    """Run a command, and kill it as soon as the condition holds. Returns whether it was killed before its end."""
    with subprocess.Popen(command(*arguments), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        until(lambda: condition() or process.poll() is not None)
        process.send_signal(signal.SIGKILL)
    return process.returncode == -signal.SIGKILL


def test_unfinished_jobs_go_on_after_a_restore_and_done_ones_are_there(tmp_path: Path) -> None:
    with served(tmp_path / "data") as server:
        done = server.submit(CLIP, queue="true")
        server.ended(done)
        server.http.post("/model/unload")
        until(lambda: server.state() == "unloaded")
        waiting = server.submit("it-exact-0.flac", queue="true")
        saved = run("backup", tmp_path / "b.tar", "--data-dir", tmp_path / "data")
        refused = run("restore", tmp_path / "b.tar", "--data-dir", tmp_path / "data", "--force")
        server.process.kill()

    assert (saved.returncode, "2 jobs" in saved.stdout) == (0, True), saved.stderr
    assert (refused.returncode, "stop that server" in refused.stderr) == (2, True)
    restored = run("restore", tmp_path / "b.tar", "--data-dir", tmp_path / "new")
    assert restored.returncode == 0, restored.stderr
    with served(tmp_path / "new") as server:
        assert text_of(server.job(done)) == CATALOG[CLIP]["text"]
        assert text_of(server.ended(waiting)) == CATALOG["it-exact-0.flac"]["text"]


def test_a_killed_backup_leaves_no_half_of_a_file_and_the_server_as_it_was(tmp_path: Path) -> None:
    data, file = tmp_path / "data", tmp_path / "b.tar.gz"
    with served(data, WHISPER_MODEL="someone/nothing", HF_ENDPOINT="http://127.0.0.1:9") as server:
        for _ in range(3):
            server.http.post("/jobs", files={"audio": b"no recording"}, data={"queue": "true"})
        recordings = [*(data / "uploads").iterdir()]
        # They have no blocks on the disk, and are compressed slowly: the backup is not done before it is killed.
        for recording in recordings:
            os.truncate(recording, 50_000_000_000)
        for condition in (lambda: (data / "backup").exists(), lambda: file.with_name("b.tar.gz.part").exists()):
            assert kill_when(condition, "backup", file, "--data-dir", data)
            assert not file.exists()
        for recording in recordings:
            os.truncate(recording, len(b"no recording"))
        assert server.http.get("/readyz").status_code == 200
        done = run("backup", file, "--data-dir", data)

    assert (done.returncode, "3 jobs, 3 recordings" in done.stdout) == (0, True), done.stderr
    assert not (data / "backup").exists()
    assert not file.with_name("b.tar.gz.part").exists()


def jobs_of(data: Path) -> set[str]:
    with closing(sqlite3.connect(data / "scrivano.db")) as db:
        return {job_id for (job_id,) in db.execute("SELECT id FROM jobs")}


@pytest.mark.slow
def test_a_killed_restore_leaves_the_jobs_that_were_there(tmp_path: Path) -> None:
    data, file = tmp_path / "data", tmp_path / "b.tar"
    nothing = {"WHISPER_MODEL": "someone/nothing", "HF_ENDPOINT": "http://127.0.0.1:9"}
    with served(tmp_path / "other", **nothing) as server:
        for _ in range(8):
            server.http.post("/jobs", files={"audio": b"\0" * 40_000_000}, data={"queue": "true"})
    assert run("backup", file, "--data-dir", tmp_path / "other").returncode == 0
    with served(data, **nothing) as server:
        kept = server.submit(CLIP, queue="true")

    arriving = lambda: len(list((data / "uploads").iterdir())) >= 3  # noqa: E731
    assert kill_when(arriving, "restore", file, "--data-dir", data, "--force")

    assert jobs_of(data) == {kept}
    with served(data) as server:
        assert text_of(server.ended(kept)) == CATALOG[CLIP]["text"]
        assert not list((data / "uploads").iterdir()), "recordings that belong to no job are deleted at the start"
    assert run("restore", file, "--data-dir", data, "--force").returncode == 0
    assert jobs_of(data) == jobs_of(tmp_path / "other")


def test_jobs_of_the_earlier_server_are_served(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    segment = {"index": 0, "start": 0.5, "end": 2.0, "text": "Ciao.", "words": []}
    times = {"created_at": "2025-01-02T03:04:05Z", "completed_at": "2025-01-02T03:05:05Z"}
    job = {"id": EARLIER, "status": "done", "task": "transcribe", "progress": 100, "segments": [segment], **times}
    (tmp_path / "old" / f"{EARLIER}.json").write_text(json.dumps({**job, "language": "it", "duration_secs": 2.5}))

    done = run("migrate", tmp_path / "old", "--data-dir", tmp_path / "data")

    assert (done.returncode, "added 1 job to" in done.stdout) == (0, True), done.stderr
    with served(tmp_path / "data") as server:
        shown = server.job(EARLIER)
        assert {name: shown[name] for name in times} == {
            name: value.replace("Z", ".000Z") for name, value in times.items()
        }
        assert (shown["language"], shown["segments"][0]["text"]) == ("it", "Ciao.")
        assert server.http.get(f"/jobs/{EARLIER}/transcript?format=txt").text.strip() == "Ciao."
        with server.http.stream("GET", f"/jobs/{EARLIER}/stream") as stream:
            assert "event: done" in "".join(stream.iter_text())


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_what_root_restores_and_migrates_belongs_to_the_user_of_the_data_folder(tmp_path: Path) -> None:
    data, file = tmp_path / "data", tmp_path / "b.tar"
    (tmp_path / "old").mkdir()
    times = {"created_at": "2025-01-02T03:04:05Z", "completed_at": "2025-01-02T03:05:05Z"}
    (tmp_path / "old" / f"{EARLIER}.json").write_text(json.dumps({"id": EARLIER, "status": "failed", **times}))
    (tmp_path / "old" / f"{EARLIER}.wav").write_bytes(b"sound")
    data.mkdir()
    os.chown(data, 12345, 23456)

    commands = [("migrate", tmp_path / "old"), ("backup", file), ("restore", file, "--force")]
    done = [run(*command, "--data-dir", data) for command in commands]

    assert [one.returncode for one in done] == [0, 0, 0], done
    owners = {str(path.relative_to(data)): (path.stat().st_uid, path.stat().st_gid) for path in data.rglob("*")}
    assert {"scrivano.db", "server.lock", f"uploads/{EARLIER}"} <= set(owners)
    assert set(owners.values()) == {(12345, 23456)}
    assert file.stat().st_uid == 0


def test_the_store_of_the_first_release_is_served_and_its_copy_serves_the_older_version(tmp_path: Path) -> None:
    """Upgrade and downgrade: the server copies an older database before it changes it."""
    data = tmp_path / "data"
    (data / "uploads").mkdir(parents=True, mode=0o700)
    release = Path(__file__).parents[1] / "data" / "stores" / "0.1.0.sql"
    with closing(sqlite3.connect(data / "scrivano.db")) as db:
        db.executescript(release.read_text())
        before = list(db.iterdump())
        done, waiting = (
            db.execute("SELECT id FROM jobs WHERE status = ?", (status,)).fetchone()[0] for status in ("done", "queued")
        )
        (revision,) = db.execute("SELECT version_num FROM alembic_version").fetchone()
    shutil.copy(DATA / CLIP, data / "uploads" / waiting)

    with served(data) as server:
        assert text_of(server.job(done)) == CATALOG["it-exact-0.flac"]["text"]
        assert text_of(server.ended(waiting)) == CATALOG[CLIP]["text"]

    copy = data / f"scrivano.db.{revision}.bak"
    with closing(sqlite3.connect(copy if copy.exists() else data / "scrivano.db")) as db:
        (now,) = db.execute("SELECT version_num FROM alembic_version").fetchone()
        assert now == revision
        assert not copy.exists() or list(db.iterdump()) == before
