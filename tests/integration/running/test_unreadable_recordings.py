"""Recordings that cannot be read for a while, or are not what was stored."""

from __future__ import annotations

import threading
from pathlib import Path

from runner_bench import TEXTS, bench
from served import until

from scrivano.domain.errors import StorageDamaged, StorageUnreachable
from scrivano.domain.job import JobStatus
from scrivano.files.folder_blobs import FolderBlobs, StoredFile


def test_a_job_is_put_off_until_its_recording_can_be_read(tmp_path: Path) -> None:
    class Gone(FolderBlobs):
        left = 8

        def fetch(self, blob_id: str) -> StoredFile:
            if self.left:
                self.left -= 1
                raise StorageUnreachable("gone")
            return super().fetch(blob_id)

    with bench(tmp_path, blobs_type=Gone, options={"put_off_s": 0.02}) as it:
        job_id = it.submit()
        job = it.ended(job_id)

        assert (job.status, job.attempt) == (JobStatus.DONE, 9)
        assert it.texts(job_id) == TEXTS


def test_a_damaged_recording_fails_its_job_alone(tmp_path: Path) -> None:
    class Damaged(FolderBlobs):
        broken = True

        def fetch(self, blob_id: str) -> StoredFile:
            if self.broken:
                self.broken = False
                raise StorageDamaged(blob_id)
            return super().fetch(blob_id)

    with bench(tmp_path, blobs_type=Damaged) as it:
        failed, done = (it.ended(it.submit()) for _ in range(2))

        assert (failed.status, failed.error_code) == (JobStatus.FAILED, "audio_damaged")
        assert "submit it again" in (failed.error or "")
        assert done.status is JobStatus.DONE


def test_a_recording_that_arrives_after_its_job_was_cancelled_is_let_go(tmp_path: Path) -> None:
    arrives, closed = threading.Event(), threading.Event()

    class Copy(StoredFile):
        def close(self) -> None:
            closed.set()

    class Slow(FolderBlobs):
        def fetch(self, blob_id: str) -> StoredFile:
            arrives.wait(60)
            return Copy(self.path(blob_id))

    with bench(tmp_path, blobs_type=Slow) as it:
        job_id = it.submit()
        until(lambda: it.store.get_job(job_id).status is JobStatus.RUNNING)
        it.store.cancel(job_id)
        it.runner.cancel(job_id)
        arrives.set()

        until(closed.is_set)
        until(lambda: not list((tmp_path / "uploads").iterdir()))
