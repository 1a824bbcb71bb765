"""What dispatchers and servers tell each other."""

from __future__ import annotations

from store_support import Clock

from scrivano.store.database import Database
from scrivano.store.dispatchers import DispatcherStore


def test_a_dispatcher_is_known_as_long_as_it_reports(database: Database, clock: Clock) -> None:
    changes: list[None] = []
    store = DispatcherStore(database, clock, lambda: changes.append(None))
    store.report("one", {"nano": {"state": "loading"}}, lives_s=20, changed=True)
    store.report("two", {"nano": {"state": "ready"}}, lives_s=20, changed=False)
    clock.forward(15)
    store.report("one", {"nano": {"state": "ready"}}, lives_s=20, changed=False)

    assert [(report.dispatcher, report.age_s) for report in store.reports()] == [("one", 0), ("two", 15)]
    assert len(changes) == 1
    clock.forward(6)
    assert [report.dispatcher for report in store.reports()] == ["one"]
    store.withdraw("one")
    assert store.reports() == []
    assert len(changes) == 2


def test_each_dispatcher_reads_each_request_once(database: Database, clock: Clock) -> None:
    store = DispatcherStore(database, clock, lambda: None)
    assert store.last_request() == 0
    store.request("load", None)
    seen = store.last_request()
    store.request("unload", "nano")

    [request] = store.requests_after(seen)
    assert (request.action, request.model) == ("unload", "nano")
    assert store.requests_after(request.seq) == []
    clock.forward(3600)
    store.request("load", "nano")  # those before it are forgotten
    assert [one.model for one in store.requests_after(0)] == ["nano"]
