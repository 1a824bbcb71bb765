"""A disk that fills up under a running server, and the server that goes on by itself when there is room again."""

from __future__ import annotations

import resource
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
from served import DATA, Served, served, start, text_of, until

from torture.receiver import receiver

CLIP = "en-clean-short-00.flac"
LONG = "en-it-mixed-0.flac"
MEGABYTE = 1024 * 1024


def post(server: Served, **fields: str) -> tuple[int, str]:
    answer = server.http.post("/jobs", files={"audio": (DATA / CLIP).read_bytes()}, data={"queue": "true", **fields})
    return answer.status_code, answer.json().get("error") or answer.json()["job_id"]


def sound(folder: Path) -> bool:
    with closing(sqlite3.connect(folder / "scrivano.db")) as db:
        return bool(db.execute("PRAGMA integrity_check").fetchone() == ("ok",))


def test_an_upload_that_would_leave_too_little_is_refused_before_it_is_sent(tmp_path: Path) -> None:
    with served(tmp_path, MIN_FREE_BYTES=str(1 << 60)) as server:
        status, message = post(server)
        by_url = server.http.post("/jobs", files={"audio_url": (None, "http://127.0.0.1:9/"), "queue": (None, "true")})
        openai = server.http.post("/v1/audio/transcriptions", files={"file": (DATA / CLIP).read_bytes()})

        assert status == by_url.status_code == openai.status_code == 507
        assert "MIN_FREE_BYTES" in message
        unfit = server.http.get("/readyz")
        assert (unfit.status_code, unfit.json()["checks"]["disk"]) == (503, message)
        assert "purge=true" in message
        assert openai.json()["error"]["code"] == "storage_full"
        assert server.http.get("/jobs").json()["jobs"] == []
        assert list((tmp_path / "uploads").iterdir()) == []
        assert server.http.get("/health").status_code == 200


def limit(pid: int, soft: int) -> int:
    """How large the files may be that a process writes; returns what held before. One that has ended needs none."""
    with suppress(ProcessLookupError, PermissionError, ValueError):  # it may have limited itself just now, or ended
        hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)[1]
        if hard != resource.RLIM_INFINITY:
            soft = hard if soft == resource.RLIM_INFINITY else min(soft, hard)
        return resource.prlimit(pid, resource.RLIMIT_FSIZE, (soft, hard))[0]
    return resource.RLIM_INFINITY


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="no limit can be set on another process")
def test_no_write_succeeds_for_a_while_and_nothing_is_lost(tmp_path: Path) -> None:
    """The kernel refuses every byte of the server and its children: as on a full disk, with no reserve left."""
    with receiver() as hooks, served(tmp_path, RESERVE_BYTES="0", MIN_FREE_BYTES="0") as server:
        server.load()
        with server.paused("engine"):  # so that the job is not done before
            first = server.submit(LONG, webhook_url=hooks.url)
            until(lambda: server.job(first)["status"] == "running")
            processes = [server.process.pid, *server.children("engine"), *server.children("media")]
            limits = {pid: limit(pid, 0) for pid in processes}
            refused = post(server)
            cancelled = server.http.delete(f"/jobs/{first}")
        until(lambda: [line for line in server.log if "no disk space left for the database" in line["message"]])
        assert server.http.get("/health").status_code == 200
        assert server.job(first)["status"] != "failed"
        for pid, soft in limits.items():
            limit(pid, soft)

        assert refused[0] == cancelled.status_code == 507
        assert "free some space" in refused[1]
        assert server.ended(first)["status"] == "done"
        status, second = post(server, webhook_url=hooks.url)
        assert status == 202
        assert server.ended(second)["status"] == "done"
        until(lambda: hooks.messages.keys() == {first, second})
        assert hooks.calls.total() == 2
    assert sound(tmp_path)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 24 MB of our own; only root may have one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={24 * MEGABYTE}", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True).returncode:
        pytest.skip("needs the right to mount")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Take every byte of the disk."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (MEGABYTE, 4096):
            while True:
                try:
                    file.write(b"x" * size)
                except OSError:
                    break
    return filler


def test_with_the_reserve_running_jobs_end_on_a_full_disk(small_disk: Path) -> None:
    settings = {"RESERVE_BYTES": str(6 * MEGABYTE), "MIN_FREE_BYTES": str(2 * MEGABYTE)}
    with served(small_disk, **settings) as server:
        server.load()
        clip = server.ended(server.submit(CLIP))
        running = [server.submit(LONG), server.submit(CLIP)]
        filler = fill(small_disk)
        assert post(server)[0] == 507

        jobs = [server.ended(job_id, timeout_s=180) for job_id in running]
        assert not (small_disk / "reserve").exists()
        # What is being prepared may not fit: then its job says so, and is tried again by whoever wants it.
        assert {(job["status"], job.get("error_code")) for job in jobs} <= {("done", None), ("failed", "storage_full")}
        assert post(server)[0] == 507
        assert server.http.delete(f"/jobs/{clip['id']}?purge=true").status_code == 200
        filler.unlink()

        until(lambda: (small_disk / "reserve").exists())
        status, later = post(server)
        assert status == 202
        assert text_of(server.ended(later)) == text_of(clip)
        for job in jobs:
            if job["status"] == "failed":
                assert server.http.post(f"/jobs/{job['id']}/retry").status_code == 202
                assert server.ended(job["id"])["status"] == "done"
    assert sound(small_disk)


@pytest.mark.slow
def test_a_start_on_a_full_disk_is_possible_with_a_reserve_and_said_so_without(small_disk: Path) -> None:
    with served(small_disk, RESERVE_BYTES=str(6 * MEGABYTE), MIN_FREE_BYTES="0") as server:
        done = server.ended(server.submit(CLIP, queue="true"))
    (small_disk / "reserve").rename(small_disk / "aside")
    filler = fill(small_disk)
    refused = start(small_disk, RESERVE_BYTES="0", MIN_FREE_BYTES="0")
    said, _ = refused.communicate(timeout=60)
    assert refused.returncode == 2
    assert "free some space" in said
    (small_disk / "aside").rename(small_disk / "reserve")
    with served(small_disk, RESERVE_BYTES=str(6 * MEGABYTE), MIN_FREE_BYTES=str(MEGABYTE)) as server:
        assert server.job(done["id"]) == done
        filler.unlink()
        until(lambda: (small_disk / "reserve").exists())
        assert post(server)[0] == 202
    assert sound(small_disk)
