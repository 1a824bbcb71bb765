"""Listing jobs, and trying them again, on a real database."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from store_support import Clock, add, new_job, plan

from scrivano.domain.errors import JobNotFound, JobNotRetriable
from scrivano.domain.job import JobStatus
from scrivano.store.database import Database
from scrivano.store.jobs import Decoded, JobStore
from scrivano.store.outbox import Outbox

SEGMENT = {"index": 0, "start": 0.5, "end": 1.5, "text": "Hello."}
PROGRESS = {"percent": 50, "chunk": 1, "chunks_total": 2}


def half_done(store: JobStore, clock: Clock, **fields: object) -> str:
    add(store, new_job("a", clock, **fields))
    store.claim("a", 60)
    store.add_chunks("a", 1, plan(2))
    store.store_results(
        [Decoded(job_id="a", attempt=1, index=0, result=b"{}", segments=[SEGMENT], progress=PROGRESS, language="en")]
    )
    return "a"


def test_segments_are_logged_with_the_result_and_before_the_progress(
    store: JobStore, clock: Clock, changed: list[str]
) -> None:
    half_done(store, clock)

    assert [(event.type, event.data) for event in store.events_after("a", 0)] == [
        ("segment", SEGMENT),
        ("progress", PROGRESS),
    ]
    assert changed == ["a"]


def test_jobs_are_listed_newest_first_page_by_page(store: JobStore, clock: Clock) -> None:
    for number in range(7):
        add(store, new_job(f"job-{number}", clock))
        if number % 2:  # two at a time are equally old
            clock.forward(1)

    pages, before = [], None
    while page := store.list_jobs(3, before=before):
        pages.append([job.id for job in page])
        before = (page[-1].created_at, page[-1].id)
        add(store, new_job(f"new-{len(pages)}", clock))  # what comes meanwhile shifts nothing

    assert pages == [["job-6", "job-5", "job-4"], ["job-3", "job-2", "job-1"], ["job-0"]]


def test_jobs_are_listed_by_status(store: JobStore, clock: Clock) -> None:
    half_done(store, clock)
    add(store, new_job("b", clock))

    assert [job.id for job in store.list_jobs(9, status=JobStatus.RUNNING)] == ["a"]
    assert [job.id for job in store.list_jobs(9, status=JobStatus.QUEUED)] == ["b"]
    assert store.list_jobs(9, status=JobStatus.FAILED) == []


def test_a_failed_job_waits_again_as_if_new(store: JobStore, clock: Clock) -> None:
    half_done(store, clock)
    store.publish_failed("a", 1, "engine_crashed", "it crashed")
    last = store.last_seq("a")

    job = store.retry("a")

    assert job == store.get_job("a")
    assert (job.status, job.progress, job.error, job.error_code, job.completed_at) == (
        JobStatus.QUEUED,
        0,
        None,
        None,
        None,
    )
    assert [(event.seq, event.type) for event in store.events_after("a", 0)] == [(last + 1, "retry")]
    claimed = store.claim("a", 60)
    assert claimed is not None
    assert claimed.attempt == 2


def test_the_last_end_of_a_job_is_delivered_under_an_id_of_its_own(
    store: JobStore, outbox: Outbox, clock: Clock
) -> None:
    half_done(store, clock, webhook_url="http://hooks.test/a")
    store.cancel("a")
    store.retry("a")
    assert outbox.due(9) == []

    store.cancel("a")

    assert [delivery.id for delivery in outbox.due(9)] == ["msg_a.2"]


def test_an_ended_attempt_cannot_write_into_the_next(store: JobStore, clock: Clock) -> None:
    half_done(store, clock)
    store.cancel("a")
    store.retry("a")
    late = Decoded(job_id="a", attempt=1, index=1, result=b"{}", segments=[SEGMENT])

    assert store.store_results([late]) == [False]
    store.claim("a", 60)
    assert store.store_results([late]) == [False]
    assert [event.type for event in store.events_after("a", 0)] == ["retry"]


def test_only_what_failed_or_was_cancelled_is_tried_again(store: JobStore, clock: Clock) -> None:
    half_done(store, clock)
    with pytest.raises(JobNotRetriable, match="running"):
        store.retry("a")
    store.publish_done("a", 1, b"[]", language=None, duration_secs=1.0)
    with pytest.raises(JobNotRetriable, match="done"):
        store.retry("a")
    with pytest.raises(JobNotFound):
        store.retry("b")


def test_the_newest_progress_of_each_job_is_known(store: JobStore, clock: Clock) -> None:
    half_done(store, clock)
    later = {"percent": 100, "chunk": 2, "chunks_total": 2}
    store.store_results([Decoded(job_id="a", attempt=1, index=1, result=b"{}", progress=later)])
    add(store, new_job("b", clock))

    assert store.progress_of(["a", "b", "x"]) == {"a": later}
    assert store.progress_of([]) == {}


def test_a_page_of_a_long_list_is_found_by_the_index(store: JobStore, database: Database, clock: Clock) -> None:
    if database.shared:
        pytest.skip("the plan of PostgreSQL depends on how many rows there are")
    asked: list[tuple[str, Any]] = []

    def note(*call: Any) -> None:
        asked.append((call[2], call[3]))

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        store.list_jobs(50, before=(clock(), "job-500"))
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", note)
    statement, parameters = next(one for one in asked if one[0].startswith("SELECT"))
    with database.read() as db:
        steps = [row[-1] for row in db.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)]

    assert len(steps) == 1  # nothing is sorted
    assert "(created_at<?)" in steps[0]
