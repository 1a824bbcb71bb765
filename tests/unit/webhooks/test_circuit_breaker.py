"""Which calls the circuit breaker allows, on a clock that the test moves."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scrivano.store.outbox import GUARANTEED_ATTEMPTS
from scrivano.webhooks.circuit_breaker import FAILURES, MAX_CALLS, OPEN_S, PER_HOST, CircuitBreaker


@dataclass(frozen=True)
class Delivery:
    url: str
    host: str = "slow.test"
    attempts: int = 0


def late(name: str, host: str = "slow.test") -> Delivery:
    return Delivery(name, host, GUARANTEED_ATTEMPTS)


def open_circuit(now: float = 0.0) -> CircuitBreaker:
    """A circuit that has just opened."""
    breaker = CircuitBreaker()
    for n in range(FAILURES):
        (call,) = breaker.start([Delivery("a")], now)
        open_s = breaker.ended(call, now, host_works=False)
        assert open_s == (OPEN_S[0] if n == FAILURES - 1 else None)
    return breaker


def test_a_host_gets_a_few_calls_and_others_are_served_too() -> None:
    breaker = CircuitBreaker()
    slow = [Delivery(f"slow/{n}") for n in range(100)]
    started = breaker.start([*slow, Delivery("quick", "quick.test")], 0)

    assert [call.url for call in started] == ["slow/0", "quick", "slow/1", "slow/2", "slow/3"]
    assert breaker.full_hosts == {"slow.test"}
    assert breaker.start(slow[4:], 0) == []
    breaker.ended(started[0], 0, host_works=True)
    assert [call.url for call in breaker.start(slow[4:], 0)] == ["slow/4"]


def test_hosts_with_fewer_calls_are_served_first_when_capacity_is_short() -> None:
    breaker = CircuitBreaker()
    taken = [Delivery(f"{host}/{n}", str(host)) for host in range(MAX_CALLS // PER_HOST) for n in range(PER_HOST)]
    started = breaker.start(taken, 0)
    assert len(started) == MAX_CALLS
    breaker.ended(started[0], 0, host_works=True)

    (next_one,) = breaker.start([Delivery("0/new", "0"), Delivery("new", "new.test")], 0)

    assert next_one.url == "new"


def test_one_call_a_url_at_a_time() -> None:
    breaker = CircuitBreaker()
    assert len(breaker.start([Delivery("a"), Delivery("a")], 0)) == 1
    assert breaker.busy_urls == {"a"}


def test_an_open_circuit_holds_back_late_attempts_only() -> None:
    breaker = open_circuit()

    assert breaker.start([late("b")], 1) == []
    assert breaker.start([Delivery("b", attempts=GUARANTEED_ATTEMPTS - 1)], 1) != []
    assert breaker.start([late("c", "other.test")], 1) != []


def test_after_the_waiting_time_one_probe_decides() -> None:
    breaker = open_circuit()
    now = OPEN_S[0]

    (probe,) = breaker.start([late("b"), late("c")], now)
    assert breaker.ended(probe, now, host_works=False) == OPEN_S[1]
    assert breaker.start([late("b")], now + OPEN_S[1] - 1) == []

    now += OPEN_S[1]
    (probe,) = breaker.start([late("c"), late("b")], now)
    assert breaker.ended(probe, now, host_works=True) is None
    assert len(breaker.start([late("b"), late("c"), late("d")], now)) == 3


def test_a_probe_that_made_no_call_changes_nothing() -> None:
    """Its job may have been deleted."""
    breaker = open_circuit()
    (probe,) = breaker.start([late("b"), late("c")], OPEN_S[0])

    assert breaker.ended(probe, OPEN_S[0], host_works=None) is None
    assert len(breaker.start([late("b"), late("c")], OPEN_S[0])) == 1


def test_a_first_attempt_that_succeeds_closes_the_circuit() -> None:
    breaker = open_circuit()
    (call,) = breaker.start([Delivery("new")], 1)
    breaker.ended(call, 1, host_works=True)

    assert breaker.start([late("b")], 1) != []


def test_first_attempts_that_fail_meanwhile_do_not_extend_the_waiting_time() -> None:
    breaker = open_circuit()
    for now in (1, 20, OPEN_S[0] - 1):
        (call,) = breaker.start([Delivery("new")], now)
        assert breaker.ended(call, now, host_works=False) is None

    assert breaker.start([late("b")], OPEN_S[0]) != []


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3), st.integers(0, 5), st.booleans()), max_size=200))
def test_whatever_happens_limits_hold_and_nothing_is_stuck(steps: list[tuple[int, int, int, bool]]) -> None:
    breaker, now = CircuitBreaker(), 0.0
    running: list[Delivery] = []
    for url, host, attempts, works in steps:
        now += 7
        call = Delivery(f"{host}/{url}", str(host), attempts)
        started = breaker.start([call], now)
        assert all(one.url != call.url for one in running) or not started
        running += started
        assert sum(one.host == call.host for one in running) <= PER_HOST
        if not started and running:
            breaker.ended(running.pop(0), now, host_works=works)
    for one in running:
        breaker.ended(one, now, host_works=False)
    for host in range(4):
        assert breaker.start([late("x" + str(host), str(host))], now + max(OPEN_S)) != []
    assert len(breaker.busy_urls) == 4


@pytest.mark.parametrize("failed_probes", range(1, 8))
def test_waiting_times_grow_up_to_a_limit(failed_probes: int) -> None:
    breaker, now, open_s = open_circuit(), 0.0, OPEN_S[0]
    for _ in range(failed_probes):
        now += open_s
        (probe,) = breaker.start([late("b")], now)
        open_s = breaker.ended(probe, now, host_works=False) or 0
    assert open_s == OPEN_S[min(failed_probes, len(OPEN_S) - 1)]
