from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from store_support import Clock, add, new_job

from scrivano.domain.errors import JobNotFound, JobUnfinished, UploadNotFound
from scrivano.domain.job import VOICE_SAMPLE, JobOptions
from scrivano.files.blob_writer import RunningHash
from scrivano.files.folder_blobs import FolderBlobs
from scrivano.housekeeping.retention import BATCH, Retention, forget
from scrivano.store.jobs import JobStore
from scrivano.store.outbox import Outbox
from scrivano.store.uploads import PartialUpload, UploadStore

HOUR = 3600.0


@pytest.fixture
def blobs(tmp_path: Path) -> FolderBlobs:
    return FolderBlobs(tmp_path)


@pytest.fixture
def retention(store: JobStore, outbox: Outbox, partials: UploadStore, blobs: FolderBlobs, clock: Clock) -> Retention:
    return Retention(store, outbox, partials, blobs, timedelta(hours=2), clock, lambda: clock.time.timestamp())


def upload(store: JobStore, blobs: FolderBlobs, clock: Clock, job_id: str) -> None:
    with blobs.create(job_id) as writer:
        writer.write(b"audio")
        writer.commit()
    add(store, new_job(job_id, clock))


def files_in(folder: Path) -> set[str]:
    return {path.name for path in (folder / "uploads").iterdir()}


def test_a_job_and_its_audio_are_deleted_when_the_retention_time_is_over(
    tmp_path: Path, store: JobStore, blobs: FolderBlobs, clock: Clock, retention: Retention
) -> None:
    for job_id in ("ended", "waiting"):
        upload(store, blobs, clock, job_id)
    clock.forward(10 * HOUR)
    store.publish_failed("ended", None, "code", "why")
    clock.forward(2 * HOUR - 1)
    assert retention.sweep() == 0

    clock.forward(1)

    assert retention.sweep() == 1
    assert files_in(tmp_path) == {"waiting"}
    with pytest.raises(JobNotFound):
        store.get_job("ended")
    assert [job.id for job in store.unfinished()] == ["waiting"]
    assert retention.sweep() == 0


def test_many_jobs_are_deleted_in_batches(
    store: JobStore, blobs: FolderBlobs, clock: Clock, retention: Retention
) -> None:
    for number in range(BATCH + 3):
        add(store, new_job(f"job{number}", clock))
        store.cancel(f"job{number}")
    clock.forward(3 * HOUR)

    assert [retention.sweep(), retention.sweep(), retention.sweep()] == [BATCH, 3, 0]


def test_a_job_that_has_not_ended_is_not_deleted(
    tmp_path: Path, store: JobStore, blobs: FolderBlobs, clock: Clock
) -> None:
    upload(store, blobs, clock, "a")

    with pytest.raises(JobUnfinished):
        forget(store, blobs, "a")

    assert files_in(tmp_path) == {"a"}


def test_nothing_is_deleted_for_an_hour_after_the_clock_was_set_forward(
    store: JobStore, outbox: Outbox, partials: UploadStore, blobs: FolderBlobs, clock: Clock
) -> None:
    steady = [0.0]
    retention = Retention(store, outbox, partials, blobs, timedelta(hours=2), clock, lambda: steady[0])
    upload(store, blobs, clock, "a")
    store.cancel("a")

    clock.forward(5 * HOUR)
    assert retention.sweep() == 0
    for _ in range(2):
        steady[0] += HOUR - 1
        clock.forward(HOUR - 1)
        if steady[0] < HOUR:
            assert retention.sweep() == 0
    assert retention.sweep() == 1


def test_a_clock_that_was_set_back_only_delays_deletion(
    store: JobStore, outbox: Outbox, partials: UploadStore, blobs: FolderBlobs, clock: Clock
) -> None:
    steady = [0.0]
    retention = Retention(store, outbox, partials, blobs, timedelta(hours=2), clock, lambda: steady[0])
    upload(store, blobs, clock, "a")
    store.cancel("a")

    clock.forward(-5 * HOUR)
    assert retention.sweep() == 0
    steady[0] += 8 * HOUR
    clock.forward(8 * HOUR)
    assert retention.sweep() == 1


def test_an_upload_that_is_not_continued_is_deleted(
    store: JobStore, outbox: Outbox, partials: UploadStore, blobs: FolderBlobs, clock: Clock
) -> None:
    retention = Retention(store, outbox, partials, blobs, None, clock, lambda: clock.time.timestamp())
    for upload_id in ("left", "continued", "is-a-job"):
        with blobs.extend(upload_id, 0, RunningHash()) as writer:
            writer.write(b"sound")
        expires_at = clock() + timedelta(hours=1)
        partials.add(
            PartialUpload(
                id=upload_id,
                size_bytes=5 if upload_id == "is-a-job" else 9,
                offset_bytes=5,
                metadata="",
                created_at=clock(),
                expires_at=expires_at,
            )
        )
    blob = blobs.complete("is-a-job", RunningHash())
    job = new_job("is-a-job", clock)
    assert store.add_job(job, audio_sha256=blob.sha256, audio_bytes=blob.size_bytes, upload_id="is-a-job") == job.id
    assert store.add_job(job, audio_sha256=blob.sha256, audio_bytes=blob.size_bytes, upload_id="is-a-job") == job.id
    clock.forward(0.5 * HOUR)
    partials.set_offset("continued", 6, clock() + timedelta(hours=1))
    assert retention.sweep() == 0

    clock.forward(0.5 * HOUR)
    with pytest.raises(UploadNotFound):
        partials.get("left")
    assert retention.sweep() == 2

    assert sorted(path.name for path in blobs.path("left").parent.iterdir()) == ["continued.part", "is-a-job"]
    assert [upload.id for upload in partials.pending()] == ["continued"]
    assert store.get_job("is-a-job") == job


def test_a_sample_of_a_voice_that_nobody_waits_for_is_deleted(
    tmp_path: Path, store: JobStore, outbox: Outbox, partials: UploadStore, blobs: FolderBlobs, clock: Clock
) -> None:
    """Its server was killed before it could delete it; also without RETENTION_HOURS."""
    for job_id in ("sample", "waiting-sample", "recording"):
        with blobs.create(job_id) as writer:
            writer.write(b"audio")
            writer.commit()
        options = JobOptions() if job_id == "recording" else JobOptions(purpose=VOICE_SAMPLE)
        add(store, replace(new_job(job_id, clock), options=options.stored()))
    for job_id in ("sample", "recording"):
        store.publish_failed(job_id, None, "code", "why")
    retention = Retention(store, outbox, partials, blobs, None, clock, lambda: clock.time.timestamp())
    retention.sweep()
    assert files_in(tmp_path) == {"sample", "waiting-sample", "recording"}

    clock.forward(301)
    retention.sweep()
    assert files_in(tmp_path) == {"waiting-sample", "recording"}

    store.publish_failed("waiting-sample", None, "code", "why")
    clock.forward(301)
    retention.sweep()
    assert files_in(tmp_path) == {"recording"}
