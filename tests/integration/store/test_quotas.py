"""How much one API key may use: counted over restarts and deleted jobs."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

import pytest
from sqlalchemy import func, select
from store_support import Clock, add, new_job

from scrivano.auth.keys import Limits
from scrivano.domain.errors import LimitReached
from scrivano.store.database import Database
from scrivano.store.jobs import Decoded, JobStore
from scrivano.store.outbox import Outbox
from scrivano.store.tables import usage

HOUR = 3600.0


def run(store: JobStore, job_id: str, duration_secs: float, percent: int | None = None) -> None:
    """To its end, or to a percentage."""
    job = store.claim(job_id, 60)
    assert job is not None
    assert store.plan_complete(job_id, job.attempt, chunks_total=2, duration_secs=duration_secs)
    if percent is None:
        assert store.publish_done(job_id, job.attempt, b"[]", language="en", duration_secs=duration_secs)
    else:
        progress = {"percent": percent, "chunk": 1, "chunks_total": 2}
        store.store_results([Decoded(job_id=job_id, attempt=job.attempt, index=None, result=None, progress=progress)])


def test_jobs_that_have_not_ended_are_limited_by_owner(store: JobStore, clock: Clock) -> None:
    two = Limits(jobs=2)
    for job_id in ("a", "b"):
        add(store, new_job(job_id, clock, owner="one"), limits=two, idempotency_key=job_id)

    with pytest.raises(LimitReached, match="2 unfinished jobs") as refused:
        add(store, new_job("c", clock, owner="one"), limits=two)
    assert refused.value.retry_after_secs > 0
    assert add(store, new_job("c", clock, owner="one"), limits=two, idempotency_key="a") == "a"
    assert add(store, new_job("d", clock, owner="two"), limits=two) == "d"
    run(store, "a", 1.0)
    assert add(store, new_job("c", clock, owner="one"), limits=two) == "c"
    store.cancel("b")
    store.cancel("c")
    store.retry("b", limits=two)
    store.retry("c", limits=two)
    store.claim("b", 60)
    store.publish_failed("b", 1, "x", "y")
    assert add(store, new_job("e", clock, owner="one"), limits=two) == "e"
    with pytest.raises(LimitReached):
        store.retry("b", owner="one", limits=two)


def test_hours_of_audio_are_given_back_after_a_day(
    database: Database, store: JobStore, clock: Clock, reopen: Callable[[], Database]
) -> None:
    two = Limits(audio_hours_per_day=2)
    add(store, new_job("a", clock, owner="one"), limits=two)
    run(store, "a", 1.5 * HOUR)
    add(store, new_job("b", clock, owner="one"), limits=two)
    run(store, "b", 1 * HOUR, percent=40)
    add(store, new_job("c", clock, owner="one"), limits=two)
    clock.forward(HOUR)
    run(store, "c", 0.2 * HOUR)

    with pytest.raises(LimitReached, match=r"its audio of a day \(2 h\)") as refused:
        add(store, new_job("d", clock, owner="one"), limits=two)
    assert add(store, new_job("e", clock, owner="two"), limits=two) == "e"

    store.purge("a")  # gives nothing back
    database.close()
    with closing(reopen()) as database:  # nor does a restart
        store = JobStore(database, Outbox(database, clock), clock)
        with pytest.raises(LimitReached):
            add(store, new_job("d", clock, owner="one"), limits=two)

        assert 22 * HOUR < refused.value.retry_after_secs <= 25 * HOUR
        clock.forward(refused.value.retry_after_secs)
        assert add(store, new_job("d", clock, owner="one"), limits=two) == "d"


def test_what_was_cancelled_half_way_counts_half(database: Database, store: JobStore, clock: Clock) -> None:
    add(store, new_job("a", clock, owner="one"))
    run(store, "a", 100.0, percent=50)
    store.cancel("a")
    add(store, new_job("b", clock))
    run(store, "b", 100.0)

    with database.read() as db:
        assert db.execute(select(usage.c.owner, usage.c.audio_secs)).all() == [("one", 50.0)]


def test_old_hours_are_not_kept(database: Database, store: JobStore, clock: Clock) -> None:
    for n in range(60):
        add(store, new_job(f"{n}", clock, owner="one"))
        run(store, f"{n}", 60.0)
        clock.forward(HOUR)

    with database.read() as db:
        assert db.scalar(select(func.count()).select_from(usage)) == 25
