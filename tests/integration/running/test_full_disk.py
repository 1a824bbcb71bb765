"""The runner on a disk that is full at some of its writes: each job ends, and none goes round for ever."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from runner_bench import TEXTS, Bench, bench
from served import until

from scrivano.domain.errors import StorageFull
from scrivano.domain.job import Job, JobStatus
from scrivano.files.disk_space import DiskSpace
from scrivano.running.job_runs import FULL_DISK_TRIES
from scrivano.store.jobs import Decoded, JobStore


class FullDisk(JobStore):
    """A store whose writes fail: those that are named, so many times (None: always); all, while `while_exists` does."""

    failures: dict[str, int | None]
    while_exists: Path | None = None
    refused: list[str]

    def _check(self, name: str) -> None:
        left = self.failures.get(name, 0)
        prepared = self.while_exists is not None and any(self.while_exists.iterdir())
        if left == 0 and not (prepared and name.startswith("publish")):
            return
        if left:
            self.failures[name] = left - 1
        self.refused.append(name)
        raise StorageFull("ordered to be full")

    def claim(self, job_id: str, lease_secs: float) -> Job | None:
        self._check("claim")
        return super().claim(job_id, lease_secs)

    def release(self, job_id: str, attempt: int) -> bool:
        self._check("release")
        return super().release(job_id, attempt)

    def store_results(self, decoded: Sequence[Decoded]) -> list[bool]:
        self._check("store_results")
        return super().store_results(decoded)

    def publish_done(self, job_id: str, attempt: int, segments_json: bytes, **more: Any) -> bool:
        self._check("publish_done")
        return super().publish_done(job_id, attempt, segments_json, **more)

    def publish_failed(self, job_id: str, attempt: int | None, code: str, message: str) -> bool:
        self._check("publish_failed")
        return super().publish_failed(job_id, attempt, code, message)


@contextmanager
def full_disk(
    folder: Path,
    failures: dict[str, int | None] | None = None,
    *,
    beside_prepared: bool = False,
    disk_space: DiskSpace | None = None,
) -> Iterator[tuple[Bench, list[str]]]:
    """A runner on such a store, and the writes that were refused so far."""
    refused: list[str] = []

    class Store(FullDisk):
        pass

    Store.failures, Store.refused = dict(failures or {}), refused
    Store.while_exists = folder / "prepared" if beside_prepared else None
    with bench(folder, store_type=Store, disk_space=disk_space, options={"put_off_s": 0.05}) as it:
        yield it, refused


@pytest.mark.parametrize("write", ["claim", "store_results", "publish_done"])
@pytest.mark.parametrize("times", [1, 3])
def test_a_job_whose_write_was_refused_ends_later(tmp_path: Path, write: str, times: int) -> None:
    with full_disk(tmp_path, {write: times}) as (it, refused):
        jobs = [it.submit(), it.submit()]

        assert [it.ended(job_id).status for job_id in jobs] == [JobStatus.DONE] * 2
        assert [it.texts(job_id) for job_id in jobs] == [TEXTS] * 2
        assert len(refused) == times


def test_a_job_that_cannot_be_taken_up_again_stays_put_off(tmp_path: Path) -> None:
    with full_disk(tmp_path, {"store_results": 2, "release": 3}) as (it, refused):
        assert it.ended(it.submit()).status is JobStatus.DONE
        assert refused == [*["store_results"] * 2, *["release"] * 3]


def test_prepared_audio_makes_room_for_the_end_of_its_job(tmp_path: Path) -> None:
    """What fills the disk is the job itself."""
    with full_disk(tmp_path, beside_prepared=True) as (it, refused):
        job_id = it.submit()

        assert it.ended(job_id).status is JobStatus.DONE
        assert it.texts(job_id) == TEXTS
        assert refused == ["publish_done"]


def test_a_job_that_meets_a_full_disk_again_and_again_fails_and_can_be_retried(tmp_path: Path) -> None:
    with full_disk(tmp_path, {"store_results": None}) as (it, refused):
        job = it.ended(it.submit())

        assert (job.status, job.error_code) == (JobStatus.FAILED, "storage_full")
        assert f"/jobs/{job.id}/retry" in (job.error or "")
        assert refused.count("store_results") == 2 * FULL_DISK_TRIES
        assert job.attempt == FULL_DISK_TRIES
        assert (tmp_path / "uploads" / job.id).exists()
        until(lambda: not list((tmp_path / "prepared").iterdir()))


def test_a_failure_that_cannot_be_stored_is_stored_later(tmp_path: Path) -> None:
    with full_disk(tmp_path, {"store_results": None, "publish_failed": 2}) as (it, refused):
        job = it.ended(it.submit())

        assert (job.status, job.error_code) == (JobStatus.FAILED, "storage_full")
        assert refused.count("publish_failed") == 2


def test_a_preparation_that_lacks_space_gets_that_of_the_reserve(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    disk_space = DiskSpace(tmp_path, reserve_bytes=4096)
    disk_space.settle()
    with full_disk(tmp_path, disk_space=disk_space) as (it, _):
        job_id = it.submit(full=1)
        job = it.ended(job_id)

        assert (job.status, job.attempt) == (JobStatus.DONE, 2)
        assert "the reserve is released" in caplog.text
        assert it.texts(job_id) == TEXTS


def test_a_preparation_that_never_fits_fails(tmp_path: Path) -> None:
    with full_disk(tmp_path) as (it, _):
        job = it.ended(it.submit(then="full"))

        assert (job.status, job.error_code, job.attempt) == (JobStatus.FAILED, "storage_full", FULL_DISK_TRIES)
