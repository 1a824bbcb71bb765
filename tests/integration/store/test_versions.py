"""Versions of a job: what is served while and after one is made, and what is deleted with what."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select
from store_support import Clock, add, new_job, plan

from scrivano.auth.keys import Limits
from scrivano.domain.errors import (
    JobNotFound,
    JobNotRetriable,
    JobUnfinished,
    LimitReached,
    QueueFull,
    VersionNotFound,
    VersionOfJob,
)
from scrivano.domain.job import Job, JobStatus, Task
from scrivano.domain.speakers import Diarization, Speaker, Turn
from scrivano.store.database import Database
from scrivano.store.jobs import JobStore
from scrivano.store.outbox import Outbox
from scrivano.store.tables import TABLES

FIRST, SECOND, THIRD = b'["first"]', b'["second"]', b'["third"]'


def finish(store: JobStore, job_id: str, text: bytes, *, model: str = "base", language: str = "en") -> None:
    job = store.claim(job_id, 60)
    assert job is not None
    store.add_chunks(job_id, job.attempt, plan(2))
    assert store.publish_done(job_id, job.attempt, text, language=language, duration_secs=7.0, decoded_by=model)


def fail(store: JobStore, job_id: str) -> None:
    assert store.publish_failed(job_id, None, "internal", "no")


def cancel(store: JobStore, job_id: str) -> None:
    store.cancel(job_id)


@pytest.fixture
def done(store: JobStore, clock: Clock) -> Job:
    options = {"beam_size": 5, "metadata": {"a": "b"}}
    add(store, new_job("a", clock, options=options, filename="a.wav", webhook_url="http://x.test/", owner="one"))
    finish(store, "a", FIRST)
    return store.get_job("a")


def version(store: JobStore, **changes: Any) -> Job:
    return store.add_version("a", changes or {"language": None, "options": {"model": "small"}})


def test_a_job_has_one_version(store: JobStore, done: Job) -> None:
    assert store.versions("a") == (done, [done])
    assert store.version("a", 1) == done
    assert done.version is None


def test_a_new_version_waits_as_a_job_of_its_own_and_the_job_stays(store: JobStore, done: Job, clock: Clock) -> None:
    clock.forward(10)
    queued = version(store)

    assert (queued.id, queued.version, queued.version_of, queued.recording_id) == ("a-v2", 2, "a", "a")
    assert (queued.status, queued.attempt, queued.created_at) == (JobStatus.QUEUED, 0, clock())
    assert (queued.language, queued.model, queued.filename, queued.owner) == (None, "small", "a.wav", "one")
    shown = store.get_job("a")
    assert (shown.status, shown.version, shown.options, store.get_result("a")) == ("done", 1, done.options, FIRST)
    first, second = store.versions("a")[1]
    assert (first.id, first.status, first.options, store.get_result("a-v1")) == ("a-v1", "done", done.options, FIRST)
    assert second == queued
    assert store.unfinished() == [queued]
    assert [job.id for job in store.list_jobs(10)] == ["a"]


def test_a_version_that_is_done_is_what_the_job_shows(store: JobStore, done: Job, clock: Clock) -> None:
    version(store)
    clock.forward(10)
    finish(store, "a-v2", SECOND, model="small", language="de")

    shown = store.get_job("a")
    assert (shown.version, shown.language, shown.model, shown.decoded_by) == (2, "de", "small", "small")
    assert (shown.completed_at, shown.created_at) == (clock(), done.created_at)
    assert (shown.webhook_url, shown.filename) == (done.webhook_url, done.filename)
    assert [store.get_result(name) for name in ("a", "a-v1", "a-v2")] == [SECOND, FIRST, SECOND]
    assert store.version("a", 1).decoded_by == "base"


@pytest.mark.parametrize("end", [fail, cancel])
def test_a_version_without_a_transcript_changes_nothing(
    store: JobStore, done: Job, end: Callable[[JobStore, str], None]
) -> None:
    version(store)
    end(store, "a-v2")

    assert (store.get_job("a").version, store.get_result("a")) == (1, FIRST)
    assert store.retry("a-v2").status is JobStatus.QUEUED
    finish(store, "a-v2", SECOND)
    assert (store.get_job("a").version, store.get_result("a")) == (2, SECOND)


def test_the_newest_one_that_is_done_is_shown_in_whatever_order_they_end(store: JobStore, done: Job) -> None:
    version(store)
    assert version(store).id == "a-v3"
    finish(store, "a-v3", THIRD)
    finish(store, "a-v2", SECOND)

    assert (store.get_job("a").version, store.get_result("a"), store.get_result("a-v2")) == (3, THIRD, SECOND)


def test_the_id_of_a_version_means_its_job(store: JobStore, done: Job) -> None:
    version(store)

    assert store.versions("a-v2") == store.versions("a")
    assert store.version("a-v1", 2).id == "a-v2"
    with pytest.raises(VersionNotFound, match="job a has no version 3; it has the versions 1 to 2"):
        store.version("a", 3)


def test_versions_are_deleted_with_their_job_and_not_alone(store: JobStore, done: Job, database: Database) -> None:
    version(store)
    with pytest.raises(JobUnfinished, match="job a-v2 is still queued"):
        store.purge("a")
    finish(store, "a-v2", SECOND)
    with pytest.raises(VersionOfJob, match="a-v2 is version 2 of job a"):
        store.purge("a-v2")

    store.purge("a")

    for name in ("a", "a-v1", "a-v2"):
        with pytest.raises(JobNotFound):
            store.get_job(name)
    with database.read() as db:
        left = {table.name: db.execute(select(table)).all() for table in TABLES.sorted_tables}
    assert {name for name, rows in left.items() if rows} <= {"usage"}


def test_retention_counts_from_the_newest_version(store: JobStore, done: Job, clock: Clock) -> None:
    version(store)
    clock.forward(100)
    assert store.expired(clock(), 10) == []  # the version has not ended
    finish(store, "a-v2", SECOND)

    assert store.expired(clock() - timedelta(seconds=1), 10) == []
    assert store.expired(clock(), 10) == ["a"]


def test_the_recording_is_kept_while_a_version_may_need_it(store: JobStore, done: Job) -> None:
    assert (store.with_audio(ended=False), store.with_audio(ended=True)) == (set(), {"a"})
    version(store)
    assert (store.with_audio(ended=False), store.with_audio(ended=True)) == ({"a"}, {"a"})
    assert store.with_audio(ended=False, among=["a"]) == {"a"}


def test_a_repeated_request_does_not_get_another_models_text(store: JobStore, done: Job, clock: Clock) -> None:
    again = new_job("b", clock, options=done.options, webhook_url=done.webhook_url, owner="one")
    recent = clock() - timedelta(hours=1)
    assert add(store, again, duplicates_since=recent) == "a"
    version(store)
    assert add(store, again, duplicates_since=recent) == "a"
    finish(store, "a-v2", SECOND)

    assert add(store, again, duplicates_since=recent) == "b"


def test_the_end_of_a_version_is_delivered(store: JobStore, done: Job, outbox: Outbox) -> None:
    version(store, webhook_url="http://y.test/", options={})
    finish(store, "a-v2", SECOND)

    assert [(one.url, one.job_id) for one in outbox.due(9)] == [("http://x.test/", "a"), ("http://y.test/", "a-v2")]


def test_limits_hold_for_versions(store: JobStore, done: Job, clock: Clock) -> None:
    with pytest.raises(QueueFull):
        store.add_version("a", {}, max_queue=0)
    with pytest.raises(LimitReached):
        store.add_version("a", {}, limits=Limits(jobs=0))
    with pytest.raises(JobNotFound):
        store.add_version("a", {}, owner="two")
    with pytest.raises(JobNotFound):
        store.versions("a", owner="two")
    assert store.get_job("a").version is None
    add(store, new_job("b", clock))
    with pytest.raises(JobNotRetriable, match="job b is queued"):
        store.add_version("b", {})


def test_a_failed_job_can_be_tried_again_with_other_options(store: JobStore, clock: Clock) -> None:
    add(store, new_job("b", clock, language="de", options={"beam_size": 5}))
    fail(store, "b")

    job = store.retry("b", changes={"language": None, "task": Task.TRANSLATE, "options": {"beam_size": 1}})

    assert (job.status, job.language, job.task, job.options) == ("queued", None, Task.TRANSLATE, {"beam_size": 1})


# Speakers

VECTORS = {"S1": array("f", [1, 0]).tobytes(), "S2": array("f", [0, 1]).tobytes()}
TWO = Diarization(
    speakers=(Speaker(id="S1", name="Speaker 1", seconds=2.0), Speaker(id="S2", name="Speaker 2", seconds=1.0)),
    turns=(Turn(0.0, 2.0, "S1"), Turn(2.5, 3.5, "S2")),
    centres=VECTORS,
)


def finish_with(store: JobStore, job_id: str, found: Diarization | None, sides: int = 1) -> None:
    job = store.claim(job_id, 60)
    assert job is not None
    store.plan_complete(job_id, job.attempt, chunks_total=0, duration_secs=7.0, audio={"sides": sides})
    assert store.publish_done(job_id, job.attempt, b"[]", language="en", duration_secs=7.0, speakers=found)


def test_merged_speakers_are_remembered_through_versions_without_speakers(store: JobStore, clock: Clock) -> None:
    add(store, new_job("a", clock))
    finish_with(store, "a", TWO)
    store.change_speakers("a", names={"S1": "Ada"}, merge={"S2": "S1"})
    version(store)
    finish_with(store, "a-v2", None)
    version(store)
    finish_with(store, "a-v3", replace(TWO, centres={}), sides=2)
    store.change_speakers("a", names={"S1": "agent"}, merge={"S2": "S1"})
    version(store)
    finish_with(store, "a-v4", None)

    found = store.remembered_speakers("a", sides=False)
    assert sorted((one.id, one.now, one.name, one.centre) for one in found) == [
        ("S1", "S1", "Ada", VECTORS["S1"]),
        ("S2", "S1", "Ada", VECTORS["S2"]),
    ]
    assert [(one.id, one.now) for one in store.remembered_speakers("a", sides=True)] == [("S1", "S1"), ("S2", "S1")]
    assert store.side_names("a") == {"S1": "agent"}


def test_a_speaker_is_remembered_as_in_the_newest_version_that_has_it(store: JobStore, clock: Clock) -> None:
    add(store, new_job("a", clock))
    finish_with(store, "a", TWO)
    version(store)
    [first, _] = TWO.speakers
    one = Diarization(speakers=(first,), turns=TWO.turns[:1], centres={"S1": VECTORS["S2"]})
    finish_with(store, "a-v2", one)

    found = store.remembered_speakers("a", sides=False)
    assert [(one.id, one.centre) for one in found] == [("S1", VECTORS["S2"]), ("S2", VECTORS["S2"])]
