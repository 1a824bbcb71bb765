"""Backups of a data folder that is in use, restored elsewhere; and jobs of an earlier server."""

from __future__ import annotations

import itertools
import json
import os
import signal
import sqlite3
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from served import until
from store_support import Clock, dump, file_size_limit, new_job, next_schema

from scrivano.backup.archive import Manifest
from scrivano.backup.backup import back_up
from scrivano.backup.migration import migrate
from scrivano.backup.restore import restore
from scrivano.domain.errors import StartError
from scrivano.domain.job import JobStatus
from scrivano.files.data_dir_lock import DataDirLock
from scrivano.files.folder_blobs import FolderBlobs
from scrivano.files.staging import Staging, remove_stale_staging
from scrivano.store.jobs import JobStore
from scrivano.store.outbox import Outbox
from scrivano.store.sqlite import SqliteDatabase
from scrivano.store.uploads import PartialUpload, UploadStore

WHEN = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)


def now() -> datetime:
    return WHEN


def save(folder: Path, file: Path) -> Manifest:
    return back_up(folder, file, version="1.2.3", now=now)


@dataclass
class Folder:
    """A data folder that this process uses as a server does."""

    path: Path
    store: JobStore
    blobs: FolderBlobs
    uploads: UploadStore

    def add(self, job_id: str, content: bytes = b"sound") -> None:
        with self.blobs.create(job_id) as writer:
            writer.write(content)
            blob = writer.commit()
        self.store.add_job(new_job(job_id, Clock()), audio_sha256=blob.sha256, audio_bytes=blob.size_bytes)

    def finish(self, job_id: str) -> None:
        job = self.store.claim(job_id, 60)
        assert job is not None
        self.store.publish_done(job_id, job.attempt, b"[]", language="en", duration_secs=1.0)
        self.blobs.delete(job_id)


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Folder]:
    path = tmp_path / "live"
    lock = DataDirLock(path, since=WHEN)
    with closing(SqliteDatabase.open(path / "scrivano.db")) as database:
        store = JobStore(database, Outbox(database, now), now)
        yield Folder(path, store, FolderBlobs(path), UploadStore(database, now))
    lock.release()


def recordings(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "uploads").iterdir()}


def test_a_backup_of_a_live_folder_restores_its_jobs_and_their_recordings(live: Folder, tmp_path: Path) -> None:
    for job_id in ("waiting", "failed", "done"):
        live.add(job_id, job_id.encode())
    live.finish("done")
    live.store.publish_failed("failed", None, "no_audio", "no sound")
    (live.path / "uploads" / "orphan").write_bytes(b"belongs to nothing")

    manifest = save(live.path, tmp_path / "b.tar")
    restored = restore(tmp_path / "b.tar", tmp_path / "new", force=False, now=now)

    assert restored == manifest
    assert (manifest.jobs, manifest.version, manifest.missing) == (3, "1.2.3", ())
    assert recordings(tmp_path / "new") == {"waiting": b"waiting", "failed": b"failed"}
    assert dump(tmp_path / "new" / "scrivano.db") == dump(live.path / "scrivano.db")
    assert (tmp_path / "b.tar").stat().st_mode & 0o777 == 0o600
    assert not (live.path / "backup").exists()


@pytest.mark.parametrize("name", ["b.tar", "b.tar.gz"])
def test_every_job_in_a_backup_has_its_recording_while_jobs_come_and_go(
    live: Folder, tmp_path: Path, name: str
) -> None:
    stop = threading.Event()

    def work() -> None:
        for n in itertools.count():
            if stop.is_set():
                return
            live.add(f"job{n}", f"job{n}".encode())
            if n >= 3:
                live.finish(f"job{n - 3}")

    worker = threading.Thread(target=work)
    worker.start()
    try:
        for n in range(6):
            manifest = save(live.path, tmp_path / name)
            target = tmp_path / f"new{n}"
            restore(tmp_path / name, target, force=False, now=now)
            with closing(SqliteDatabase.open(target / "scrivano.db")) as database:
                unfinished = {job.id for job in JobStore(database, Outbox(database, now), now).unfinished()}
            kept = recordings(target)
            assert manifest.missing == ()
            assert unfinished <= kept.keys()
            assert all(content == job_id.encode() for job_id, content in kept.items())
    finally:
        stop.set()
        worker.join()


def test_a_job_that_has_lost_its_recording_is_named(live: Folder, tmp_path: Path) -> None:
    live.add("whole")
    live.add("lost")
    live.blobs.path("lost").unlink()

    assert save(live.path, tmp_path / "b.tar").missing == ("lost",)
    assert restore(tmp_path / "b.tar", tmp_path / "new", force=False, now=now).jobs == 2


def test_a_version_of_a_job_needs_the_recording_of_the_job(live: Folder, tmp_path: Path) -> None:
    live.add("job")
    live.add("version")
    live.blobs.path("version").unlink()
    with closing(sqlite3.connect(live.path / "scrivano.db")) as db, db:
        db.execute("UPDATE jobs SET version_of = 'job', version = 2 WHERE id = 'version'")
        db.execute("UPDATE jobs SET status = 'done' WHERE id = 'job'")

    manifest = save(live.path, tmp_path / "b.tar")

    assert (manifest.missing, set(manifest.recordings)) == ((), {"job"})


def test_a_folder_with_jobs_is_replaced_only_by_force(live: Folder, tmp_path: Path) -> None:
    live.add("first")
    save(live.path, tmp_path / "b.tar")
    target = tmp_path / "new"
    restore(tmp_path / "b.tar", target, force=False, now=now)
    before = dump(target / "scrivano.db")
    live.add("second")
    save(live.path, tmp_path / "b.tar")

    with pytest.raises(StartError, match="with --force"):
        restore(tmp_path / "b.tar", target, force=False, now=now)
    assert dump(target / "scrivano.db") == before
    assert restore(tmp_path / "b.tar", target, force=True, now=now).jobs == 2
    assert recordings(target).keys() == {"first", "second"}


def test_a_folder_that_a_server_uses_is_not_restored(live: Folder, tmp_path: Path) -> None:
    live.add("a")
    save(live.path, tmp_path / "b.tar")

    with pytest.raises(StartError, match="is in use by process"):
        restore(tmp_path / "b.tar", live.path, force=True, now=now)


@pytest.mark.parametrize("kept", [0, 100, 700, 20_000, 60_000, 110_000])
def test_a_backup_that_was_cut_short_changes_nothing(live: Folder, tmp_path: Path, kept: int) -> None:
    live.add("a", b"x" * 50_000)
    save(live.path, tmp_path / "b.tar")
    whole = (tmp_path / "b.tar").read_bytes()
    target = tmp_path / "new"
    restore(tmp_path / "b.tar", target, force=False, now=now)
    before = dump(target / "scrivano.db")
    (tmp_path / "cut.tar").write_bytes(whole[:kept])

    with pytest.raises(StartError, match=r"backup"):
        restore(tmp_path / "cut.tar", target, force=True, now=now)
    assert dump(target / "scrivano.db") == before
    assert {path.name for path in target.iterdir()} <= {"scrivano.db", "uploads", "prepared", "server.lock"}


def test_an_archive_with_other_names_is_refused(tmp_path: Path) -> None:
    manifest = {"format": 1, "version": "1", "created_at": "", "revision": "r0001", "jobs": 0, "database_bytes": 0}
    (tmp_path / "manifest.json").write_text(json.dumps({**manifest, "recordings": {"../../evil": 4}}))
    (tmp_path / "evil").write_text("evil")
    with tarfile.open(tmp_path / "b.tar", "w") as tar:
        tar.add(tmp_path / "manifest.json", "manifest.json")
        tar.add(tmp_path / "evil", "uploads/../../evil")

    with pytest.raises(StartError, match="contains a recording with the name"):
        restore(tmp_path / "b.tar", tmp_path / "new" / "inner", force=False, now=now)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("there", [False, True], ids=["no folder", "an empty folder"])
def test_a_damaged_backup_leaves_nothing_in_a_new_folder(live: Folder, tmp_path: Path, there: bool) -> None:
    live.add("a", b"x" * 50_000)
    save(live.path, tmp_path / "b.tar")
    (tmp_path / "cut.tar").write_bytes((tmp_path / "b.tar").read_bytes()[:20_000])
    target = tmp_path / "above" / "new"
    if there:
        target.mkdir(parents=True)

    with pytest.raises(StartError, match="not a complete backup"):
        restore(tmp_path / "cut.tar", target, force=True, now=now)

    assert (tmp_path / "above").exists() is there
    assert not there or list(target.iterdir()) == []


def test_a_backup_that_finds_the_disk_full_leaves_nothing(live: Folder, tmp_path: Path) -> None:
    live.add("a", b"x" * 2_000_000)

    with file_size_limit(1_500_000), pytest.raises(OSError, match="too large"):
        save(live.path, tmp_path / "b.tar")

    assert list(tmp_path.iterdir()) == [live.path]
    assert not (live.path / "backup").exists()


def backing_up(live: Folder, target: Path, size: int, hang_up: str) -> subprocess.Popen[bytes]:
    """A backup that has begun, of a recording of this size. It has no blocks on the disk, and is compressed slowly.

    `hang_up`: what SIGHUP does, whatever it does to the tests themselves; SIGINT interrupts.
    """
    live.add("a")
    os.truncate(live.path / "uploads" / "a", size)
    command = [sys.executable, "-m", "scrivano", "backup", "--data-dir", str(live.path), str(target)]
    signals = f"signal.signal(signal.SIGHUP, signal.{hang_up}); signal.signal(signal.SIGINT, signal.SIG_DFL)"
    start = f"import os, signal; {signals}; os.execv({command[0]!r}, {command!r})"
    process = subprocess.Popen([sys.executable, "-c", start], stderr=subprocess.DEVNULL)
    until(lambda: target.with_name(f"{target.name}.part").exists())
    return process


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_backup_that_is_stopped_leaves_nothing(live: Folder, tmp_path: Path, number: int) -> None:
    with backing_up(live, tmp_path / "b.tar.gz", 50_000_000_000, "SIG_DFL") as process:
        process.send_signal(number)

    assert process.returncode > 0
    assert list(tmp_path.iterdir()) == [live.path]
    assert not (live.path / "backup").exists()


def test_a_hang_up_that_is_ignored_ends_no_backup(live: Folder, tmp_path: Path) -> None:
    """As with `nohup`."""
    with backing_up(live, tmp_path / "b.tar.gz", 200_000_000, "SIG_IGN") as process:
        process.send_signal(signal.SIGHUP)

    assert process.returncode == 0
    assert (tmp_path / "b.tar.gz").exists()


def test_an_empty_database_is_not_called_damaged(tmp_path: Path) -> None:
    (tmp_path / "scrivano.db").touch()

    with pytest.raises(StartError, match="has no tables yet"):
        save(tmp_path, tmp_path / "b.tar")


def test_a_restore_that_finds_the_disk_full_names_the_data_folder(live: Folder, tmp_path: Path) -> None:
    """And not the backup, which is good."""
    save(live.path, tmp_path / "small.tar")
    live.add("a", b"x" * 2_000_000)
    save(live.path, tmp_path / "b.tar")
    target = tmp_path / "new"
    restore(tmp_path / "small.tar", target, force=False, now=now)
    command = [sys.executable, "-m", "scrivano", "restore", "--force", "--data-dir", str(target)]

    with file_size_limit(1_500_000):
        done = subprocess.run([*command, str(tmp_path / "b.tar")], capture_output=True, text=True, timeout=120)

    assert (done.returncode, done.stderr) == (1, f"scrivano: cannot write {target} (File too large)\n")
    assert recordings(target) == {}


def test_a_damaged_database_is_named_by_a_backup_in_one_line(live: Folder, tmp_path: Path) -> None:
    database = live.path / "scrivano.db"
    with closing(sqlite3.connect(database)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (page,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'jobs'").fetchone()
    with database.open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(b"\xff" * 4096)

    with pytest.raises(StartError) as refused:
        save(live.path, tmp_path / "b.tar")

    assert str(refused.value).startswith(f"the database {database} is damaged (")
    assert "\n" not in str(refused.value)


def test_a_database_without_a_revision_is_not_backed_up(live: Folder, tmp_path: Path) -> None:
    with closing(sqlite3.connect(live.path / "scrivano.db")) as db, db:
        db.execute("DELETE FROM alembic_version")

    with pytest.raises(StartError, match="is not a database of Scrivano"):
        save(live.path, tmp_path / "b.tar")


@pytest.mark.parametrize("name", ["b.zip", "b", "b.gz", "b.tar.xz", "b.TAR"])
def test_a_backup_with_the_ending_of_another_kind_of_file_is_refused(live: Folder, tmp_path: Path, name: str) -> None:
    with pytest.raises(StartError, match=r"ends in \.tar"):
        save(live.path, tmp_path / name)
    assert not (tmp_path / name).exists()


def test_a_backup_is_not_written_where_the_server_deletes_files(live: Folder, tmp_path: Path) -> None:
    with pytest.raises(StartError, match="write it elsewhere"):
        save(live.path, live.path / "uploads" / "b.tar")
    assert save(live.path, live.path / "b.tar").jobs == 0


def test_a_folder_without_a_database_is_named_with_the_option(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="--data-dir"):
        save(tmp_path, tmp_path / "b.tar")


def test_a_backup_of_a_later_version_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "later"
    folder.mkdir()
    SqliteDatabase.open(folder / "scrivano.db", next_schema(tmp_path)).close()

    with pytest.raises(StartError, match="of a later version of Scrivano"):
        save(folder, tmp_path / "b.tar")


def test_what_a_killed_backup_leaves_is_removed(live: Folder, tmp_path: Path) -> None:
    live.add("a")
    staging = Staging(live.path)
    staging.link()
    with pytest.raises(StartError, match="another backup"):
        save(live.path, tmp_path / "b.tar")
    remove_stale_staging(live.path)
    assert staging.find("a"), "a backup that is being made is left alone"

    staging.__exit__(None, None, None)
    (live.path / "backup" / "uploads").mkdir(parents=True)
    remove_stale_staging(live.path)
    assert not (live.path / "backup").exists()


# The earlier server ---------------------------------------------------------------------------------------------

IDS = [f"9f1b9e3c-0000-4a00-8000-00000000000{n}" for n in range(4)]


def write_earlier(folder: Path) -> None:
    folder.mkdir()
    word = {"text": " Hello", "start": 0.0, "end": 1.0, "probability": 0.9}
    segments = [{"index": 0, "start": 0.0, "end": 3.5, "text": "Hello.", "words": [word]}]
    common = {
        "task": "transcribe",
        "language": "en",
        "filename": "a.wav",
        "created_at": "2025-01-02T03:04:05.123456789Z",
    }
    ended = {"completed_at": "2025-01-02T03:05:05Z", "progress": 100, "duration_secs": 3.5}
    jobs = [
        {"id": IDS[0], "status": "done", "segments": segments, **common, **ended},
        {"id": IDS[1], "status": "failed", "error": "broken file", "segments": [], **common, **ended, "progress": 40},
        {"id": IDS[2], "status": "running", "segments": [], "progress": 12, **common},
    ]
    for job in jobs:
        (folder / f"{job['id']}.json").write_text(json.dumps(job))
    (folder / f"{IDS[2]}.wav").write_bytes(b"RIFF, and so on")
    (folder / f"{IDS[3]}.json").write_text("{")
    (folder / "settings.json").write_text("{}")


def test_jobs_of_the_earlier_server_are_added_once(tmp_path: Path) -> None:
    write_earlier(tmp_path / "old")

    first = migrate(tmp_path / "old", tmp_path / "new", lambda: FolderBlobs(tmp_path / "new"), now=now)
    again = migrate(tmp_path / "old", tmp_path / "new", lambda: FolderBlobs(tmp_path / "new"), now=now)

    assert (first.migrated, first.recordings, first.present) == (3, 1, 0)
    assert [path.stem for path in first.refused] == [IDS[3]]
    assert (again.migrated, again.present) == (0, 3)
    with closing(SqliteDatabase.open(tmp_path / "new" / "scrivano.db")) as database:
        store = JobStore(database, Outbox(database, now), now)
        done, failed, running = (store.get_job(job_id) for job_id in IDS[:3])
        [segment] = json.loads(store.get_result(IDS[0]) or b"[]")
        assert (done.status, done.language, done.duration_secs, done.filename) == (JobStatus.DONE, "en", 3.5, "a.wav")
        assert (segment["text"], segment["words"][0]["text"], segment["end"]) == ("Hello.", " Hello", 3.5)
        assert (failed.status, failed.error, failed.progress) == (JobStatus.FAILED, "broken file", 40)
        assert (running.status, "submit the recording again" in str(running.error)) == (JobStatus.FAILED, True)
        assert [event.type for event in store.events_after(IDS[0], 0)] == ["done"]
        assert store.retry(IDS[2]).status is JobStatus.QUEUED
    assert FolderBlobs(tmp_path / "new").path(IDS[2]).read_bytes() == b"RIFF, and so on"


def test_a_migration_says_what_is_wrong(live: Folder, tmp_path: Path) -> None:
    write_earlier(tmp_path / "old")
    (tmp_path / "empty").mkdir()

    for source, target, reason in [
        (tmp_path / "nowhere", tmp_path / "new", "is not a folder"),
        (tmp_path / "empty", tmp_path / "new", "has no jobs"),
        (tmp_path / "old", tmp_path / "old", "own data folder"),
        (tmp_path / "old", live.path, "in use by process"),
    ]:
        with pytest.raises(StartError, match=reason):
            migrate(source, target, partial(FolderBlobs, target), now=now)
    assert not (tmp_path / "new").exists()


def test_files_that_are_not_jobs_leave_no_folder_behind(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / f"{IDS[0]}.json").write_text("{}")

    done = migrate(tmp_path / "old", tmp_path / "new", partial(FolderBlobs, tmp_path / "new"), now=now)

    assert (done.migrated, len(done.refused)) == (0, 1)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("renamed", [False, True], ids=["arriving", "about to become a job"])
def test_an_unfinished_upload_is_in_the_backup(live: Folder, tmp_path: Path, renamed: bool) -> None:
    later = WHEN + timedelta(days=1)
    upload = PartialUpload(id="u", size_bytes=9, offset_bytes=4, metadata="", created_at=WHEN, expires_at=later)
    live.uploads.add(upload)
    live.uploads.add(replace(upload, id="empty", offset_bytes=0))
    name = "u" if renamed else "u.part"
    (live.path / "uploads" / name).write_bytes(b"four and more")

    assert save(live.path, tmp_path / "b.tar").missing == ()
    restore(tmp_path / "b.tar", tmp_path / "new", force=False, now=now)

    assert recordings(tmp_path / "new") == {name: b"four and more"}
    with closing(SqliteDatabase.open(tmp_path / "new" / "scrivano.db")) as database:
        assert {one.id: one.offset_bytes for one in UploadStore(database, now).pending()} == {"u": 4, "empty": 0}


# Recordings that lie elsewhere


def test_recordings_in_a_bucket_are_not_in_the_backup_and_not_missed(live: Folder, tmp_path: Path) -> None:
    url = "s3://bucket/prefix"
    live.store.add_job(new_job("a", Clock()), audio_sha256="", audio_bytes=0)

    manifest = back_up(live.path, tmp_path / "b.tar", version="1.2.3", now=now, blob_url=url)

    assert (manifest.jobs, manifest.recordings, manifest.missing) == (1, {}, ())
    with pytest.raises(StartError, match="set BLOB_URL as it was"):
        restore(tmp_path / "b.tar", tmp_path / "new", force=False, now=now)
    assert restore(tmp_path / "b.tar", tmp_path / "new", force=False, now=now, blob_url=url).blob_url == url
