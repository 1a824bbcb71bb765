"""What each method of the outbox does, on a real database."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from store_support import Clock, add, new_job

from scrivano.store.jobs import JobStore
from scrivano.store.outbox import Outbox

URL = "http://hooks.test/a"


def test_deliveries_come_due_in_order_and_leave_once_delivered(outbox: Outbox, clock: Clock) -> None:
    assert outbox.next_due() is None
    for name in "ab":
        outbox.add(name, URL, "model_ready", name.encode())
        clock.forward(1)

    assert [(item.id, item.payload, item.attempts) for item in outbox.due(10)] == [
        ("a", b"a", 0),
        ("b", b"b", 0),
    ]
    assert [item.id for item in outbox.due(1)] == ["a"]
    outbox.delivered("a")
    assert [item.id for item in outbox.due(10)] == ["b"]
    outbox.delivered("b")
    assert outbox.next_due() is None


def test_a_retry_waits_for_its_time(outbox: Outbox, clock: Clock) -> None:
    outbox.add("a", URL, "model_ready", b"{}")

    later = clock() + timedelta(seconds=2)
    outbox.retry_at("a", later, "answered 500")

    assert outbox.due(10) == []
    assert outbox.next_due() == later
    clock.forward(2)
    assert [item.attempts for item in outbox.due(10)] == [1]


def test_what_was_given_up_stays_so(outbox: Outbox, clock: Clock, contents: Callable[[], object]) -> None:
    outbox.add("a", URL, "model_ready", b"{}")

    outbox.give_up("a", "answered 500")
    before = contents()
    outbox.retry_at("a", clock(), "late")
    outbox.delivered("a")

    assert outbox.due(10) == []
    assert outbox.next_due() is None
    assert contents() == before


def test_ended_deliveries_of_model_events_are_purged_by_age(store: JobStore, outbox: Outbox, clock: Clock) -> None:
    add(store, new_job("a", clock, webhook_url=URL))
    store.cancel("a")
    for number in range(2):
        outbox.add(f"told-{number}", URL, "model_ready", b"{}")
        outbox.delivered(f"told-{number}")
        outbox.add(f"owed-{number}", URL, "model_ready", b"{}")
        clock.forward(60)
    outbox.delivered("msg_a")

    assert outbox.purge(clock() - timedelta(seconds=61)) == 1
    assert outbox.purge(clock()) == 1
    assert [delivery.id for delivery in outbox.due(10)] == ["owed-0", "owed-1"]
