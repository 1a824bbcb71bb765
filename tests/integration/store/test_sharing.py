"""Several servers that share a PostgreSQL: a job or a delivery is for one of them, and they hear of each other."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

import pytest
import sqlalchemy as sa
from postgres import Cluster
from served import until
from store_support import Clock, add, new_job

from scrivano.auth.keys import Limits
from scrivano.domain.errors import DatabaseUnreachable, LimitReached, QueueFull
from scrivano.domain.job import JobStatus, Priority
from scrivano.store import outbox as outbox_module
from scrivano.store.jobs import JobStore
from scrivano.store.notices import NoticeHandlers, Notices, OutgoingNotices
from scrivano.store.outbox import Outbox
from scrivano.store.postgres import PostgresDatabase
from scrivano.store.sharing import SharedBuckets, shared_secret

pytestmark = pytest.mark.slow

T = TypeVar("T")

URL = "http://hooks.test/"


@dataclass(frozen=True)
class Server:
    """What a server has of the store."""

    database: PostgresDatabase
    outbox: Outbox
    store: JobStore


@pytest.fixture
def servers(postgres_url: str, clock: Clock) -> Iterator[list[Server]]:
    databases = [PostgresDatabase.open(postgres_url) for _ in range(2)]
    outboxes = [Outbox(database, clock) for database in databases]
    pairs = zip(databases, outboxes, strict=True)
    yield [Server(database, outbox, JobStore(database, outbox, clock)) for database, outbox in pairs]
    for database in databases:
        database.close()


def at_once(calls: Sequence[Callable[[], T]]) -> list[T | Exception]:
    """What each call returns or raises; all of them start together."""
    barrier = threading.Barrier(len(calls))

    def run(call: Callable[[], T]) -> T | Exception:
        barrier.wait()
        try:
            return call()
        except Exception as error:
            return error

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))


def claim_all(store: JobStore) -> list[str]:
    claimed = []
    while (job := store.claim_next([None], Priority.NORMAL, 60)) is not None:
        assert job.status is JobStatus.RUNNING
        claimed.append(job.id)
    return claimed


def test_each_job_is_claimed_once(servers: list[Server], clock: Clock) -> None:
    names = {add(servers[0].store, new_job(f"job-{n}", clock)) for n in range(40)}
    add(servers[0].store, new_job("other", clock, options={"model": "other"}))
    add(servers[0].store, new_job("bulk", clock, options={"priority": "bulk"}))

    claims = at_once([partial(claim_all, server.store) for server in servers * 3])

    claimed = [job_id for some in claims if isinstance(some, list) for job_id in some]
    assert sorted(claimed) == sorted(names)
    assert servers[1].store.claimable([None], clock()) == {Priority.BULK}
    assert servers[1].store.claimable(["other"], clock()) == {Priority.NORMAL}


def test_a_job_whose_server_is_gone_is_claimed_first_and_its_late_writes_are_refused(
    servers: list[Server], clock: Clock
) -> None:
    dead, alive = servers
    add(dead.store, new_job("a", clock))
    assert dead.store.claim_next([None], Priority.NORMAL, 15) is not None
    add(dead.store, new_job("b", clock))
    clock.forward(16)

    job = alive.store.claim_next([None], Priority.NORMAL, 15)

    assert job is not None
    assert (job.id, job.attempt) == ("a", 2)
    assert not dead.store.renew("a", 1, 15)
    assert not dead.store.publish_done("a", 1, b"[]", language=None, duration_secs=1.0)
    assert alive.store.publish_done("a", 2, b"[]", language=None, duration_secs=1.0)


def test_equal_requests_at_once_become_one_job(servers: list[Server], clock: Clock) -> None:
    calls = [
        partial(add, server.store, new_job(f"job-{n}", clock), idempotency_key="same")
        for n, server in enumerate(servers * 4)
    ]

    assert len({*at_once(calls)}) == 1
    assert servers[0].store.queue_depth() == 1


def test_limits_hold_for_requests_at_once(servers: list[Server], clock: Clock) -> None:
    queue = [
        partial(add, server.store, new_job(f"job-{n}", clock), max_queue=3) for n, server in enumerate(servers * 4)
    ]
    assert sum(isinstance(one, QueueFull) for one in at_once(queue)) == 5

    two = Limits(jobs=2)
    owned = [
        partial(add, server.store, new_job(f"owned-{n}", clock, owner="one"), limits=two)
        for n, server in enumerate(servers * 4)
    ]
    assert sum(isinstance(one, LimitReached) for one in at_once(owned)) == 6


def test_usage_is_added_up(servers: list[Server], clock: Clock) -> None:
    for n in range(8):
        add(servers[0].store, new_job(f"{n}", clock, owner="one"))
        servers[0].store.claim(f"{n}", 60)

    ended = at_once(
        [
            partial(server.store.publish_done, f"{n}", 1, b"[]", language=None, duration_secs=450.0)
            for n, server in enumerate(servers * 4)
        ]
    )

    assert ended == [True] * 8
    with pytest.raises(LimitReached):
        servers[1].store.check_capacity(None, "one", Limits(audio_hours_per_day=1.0))
    servers[1].store.check_capacity(None, "one", Limits(audio_hours_per_day=1.1))


def test_each_delivery_is_for_one_server_and_its_sender_may_end(servers: list[Server], clock: Clock) -> None:
    for n in range(20):
        servers[0].outbox.add(f"d{n}", f"{URL}{n}", "model_ready", b"{}")
    servers[0].outbox.add("second", f"{URL}0", "model_ready", b"{}")

    taken = at_once([partial(server.outbox.take_due, 5, per_url=1, per_host=50) for server in servers * 3])

    names = [delivery.id for some in taken if isinstance(some, list) for delivery in some]
    assert sorted(names) == sorted(f"d{n}" for n in range(20))
    assert servers[1].outbox.take_due(5, per_url=1, per_host=50) == []
    servers[0].outbox.delivered("d0", 200)
    assert [one.id for one in servers[1].outbox.take_due(5, per_url=1, per_host=50)] == ["second"]
    assert servers[1].outbox.next_due(clock()) is not None
    clock.forward(outbox_module.CLAIM_S + 1)
    assert len(servers[1].outbox.take_due(50, per_url=1, per_host=50)) == 20


def test_requests_of_a_key_are_counted_together(servers: list[Server], clock: Clock) -> None:
    buckets = [SharedBuckets(server.database, clock) for server in servers]

    waits = [buckets[n % 2].take("one", 4) for n in range(6)]

    assert waits[:4] == [0, 0, 0, 0]
    assert waits[4] == pytest.approx(15)
    clock.forward(15)
    assert buckets[1].take("one", 4) == 0
    assert buckets[0].take("two", 4) == 0
    assert shared_secret(servers[0].database, "x") == shared_secret(servers[1].database, "x")


@dataclass
class Heard:
    """What a server heard of the others."""

    changed: list[str] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)
    looks: list[None] = field(default_factory=list)
    models: list[None] = field(default_factory=list)
    deliveries: list[None] = field(default_factory=list)
    watched: list[str] = field(default_factory=list)


@contextmanager
def listening(database: PostgresDatabase, outgoing: OutgoingNotices) -> Iterator[Heard]:
    heard = Heard()
    handlers = NoticeHandlers(
        changed=heard.changed.append,
        cancelled=heard.cancelled.append,
        look=lambda: heard.looks.append(None),
        models=lambda: heard.models.append(None),
        deliveries=lambda: heard.deliveries.append(None),
        watched=lambda: heard.watched,
    )
    notices = Notices(database, outgoing, handlers)
    notices.start()
    try:
        yield heard
    finally:
        notices.stop()


def test_a_server_hears_what_another_one_does(servers: list[Server]) -> None:
    first, second = OutgoingNotices(), OutgoingNotices()
    with (
        closing(first),
        closing(second),
        listening(servers[0].database, first) as own,
        listening(servers[1].database, second) as others,
    ):
        until(lambda: own.looks and others.looks)  # both listen
        for n in range(250):
            first.changed(f"job-{n}")
        first.cancelled("job-7")
        first.queued()

        until(lambda: len(others.changed) >= 250 and others.cancelled)

    assert sorted(others.changed) == sorted(f"job-{n}" for n in range(250))
    assert others.cancelled == ["job-7"]
    assert own.changed == own.cancelled == []


def test_what_a_lost_connection_has_missed_is_found(servers: list[Server], clock: Clock) -> None:
    add(servers[0].store, new_job("a", clock))
    outgoing = OutgoingNotices()
    with closing(outgoing), listening(servers[1].database, outgoing) as heard:
        heard.watched.append("a")
        until(lambda: heard.changed)  # a first look, in any case
        with servers[0].database.read() as db:
            query = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN %'"
            assert db.scalar(sa.text(query))
        heard.changed.clear()
        servers[0].store.cancel("a")

        until(lambda: heard.changed)


def test_a_restart_of_postgres_is_survived(postgres: Cluster, clock: Clock) -> None:
    with postgres.database() as url, closing(PostgresDatabase.open(url)) as database:
        store = JobStore(database, Outbox(database, clock), clock)
        add(store, new_job("a", clock))
        postgres.stop()
        try:
            with pytest.raises(DatabaseUnreachable):
                add(store, new_job("b", clock))
            assert "cannot be written to" in (database.fault() or "")
        finally:
            postgres.start()

        assert database.fault() is None
        assert [job.id for job in store.unfinished()] == ["a"]
