"""Who may be called when: pure, on a clock that the test moves."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scrivano.store.outbox import ALWAYS
from scrivano.webhooks.circuit_breaker import FAILURES, IN_ALL, PER_HOST, RESTS_S, CircuitBreaker


@dataclass(frozen=True)
class One:
    url: str
    host: str = "slow.test"
    attempts: int = 0


def late(name: str, host: str = "slow.test") -> One:
    return One(name, host, ALWAYS)


def broken(now: float = 0.0) -> CircuitBreaker:
    """A host that has just failed often enough."""
    hosts = CircuitBreaker()
    for n in range(FAILURES):
        (call,) = hosts.begin([One("a")], now)
        rest_s = hosts.ended(call, now, well=False)
        assert rest_s == (RESTS_S[0] if n == FAILURES - 1 else None)
    return hosts


def test_a_host_has_a_few_calls_and_leaves_room_for_others() -> None:
    hosts = CircuitBreaker()
    slow = [One(f"slow/{n}") for n in range(100)]
    begun = hosts.begin([*slow, One("quick", "quick.test")], 0)

    assert [call.url for call in begun] == ["slow/0", "quick", "slow/1", "slow/2", "slow/3"]
    assert hosts.full_hosts == {"slow.test"}
    assert hosts.begin(slow[4:], 0) == []
    hosts.ended(begun[0], 0, well=True)
    assert [call.url for call in hosts.begin(slow[4:], 0)] == ["slow/4"]


def test_a_host_with_fewer_calls_goes_first_when_places_are_few() -> None:
    hosts = CircuitBreaker()
    taken = [One(f"{host}/{n}", str(host)) for host in range(IN_ALL // PER_HOST) for n in range(PER_HOST)]
    begun = hosts.begin(taken, 0)
    assert len(begun) == IN_ALL
    hosts.ended(begun[0], 0, well=True)

    (next_one,) = hosts.begin([One("0/new", "0"), One("new", "new.test")], 0)

    assert next_one.url == "new"


def test_one_call_a_url_at_a_time() -> None:
    hosts = CircuitBreaker()
    assert len(hosts.begin([One("a"), One("a")], 0)) == 1
    assert hosts.busy_urls == {"a"}


def test_a_rest_holds_back_late_attempts_only() -> None:
    hosts = broken()

    assert hosts.begin([late("b")], 1) == []
    assert hosts.begin([One("b", attempts=ALWAYS - 1)], 1) != []
    assert hosts.begin([late("c", "other.test")], 1) != []


def test_after_a_rest_one_probe_decides() -> None:
    hosts = broken()
    now = RESTS_S[0]

    (probe,) = hosts.begin([late("b"), late("c")], now)
    assert hosts.ended(probe, now, well=False) == RESTS_S[1]
    assert hosts.begin([late("b")], now + RESTS_S[1] - 1) == []

    now += RESTS_S[1]
    (probe,) = hosts.begin([late("c"), late("b")], now)
    assert hosts.ended(probe, now, well=True) is None
    assert len(hosts.begin([late("b"), late("c"), late("d")], now)) == 3


def test_a_probe_that_asked_nobody_says_nothing() -> None:
    """Its job may have been deleted."""
    hosts = broken()
    (probe,) = hosts.begin([late("b"), late("c")], RESTS_S[0])

    assert hosts.ended(probe, RESTS_S[0], well=None) is None
    assert len(hosts.begin([late("b"), late("c")], RESTS_S[0])) == 1


def test_a_first_attempt_that_succeeds_ends_the_rest() -> None:
    hosts = broken()
    (call,) = hosts.begin([One("new")], 1)
    hosts.ended(call, 1, well=True)

    assert hosts.begin([late("b")], 1) != []


def test_first_attempts_that_fail_meanwhile_do_not_prolong_the_rest() -> None:
    hosts = broken()
    for now in (1, 20, RESTS_S[0] - 1):
        (call,) = hosts.begin([One("new")], now)
        assert hosts.ended(call, now, well=False) is None

    assert hosts.begin([late("b")], RESTS_S[0]) != []


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3), st.integers(0, 5), st.booleans()), max_size=200))
def test_whatever_happens_limits_hold_and_nothing_is_stuck(steps: list[tuple[int, int, int, bool]]) -> None:
    hosts, now = CircuitBreaker(), 0.0
    running: list[One] = []
    for url, host, attempts, well in steps:
        now += 7
        call = One(f"{host}/{url}", str(host), attempts)
        begun = hosts.begin([call], now)
        assert all(one.url != call.url for one in running) or not begun
        running += begun
        assert sum(one.host == call.host for one in running) <= PER_HOST
        if not begun and running:
            hosts.ended(running.pop(0), now, well=well)
    for one in running:
        hosts.ended(one, now, well=False)
    for host in range(4):
        assert hosts.begin([late("x" + str(host), str(host))], now + max(RESTS_S)) != []
    assert len(hosts.busy_urls) == 4


@pytest.mark.parametrize("rests", range(1, 8))
def test_rests_grow_and_stay_bounded(rests: int) -> None:
    hosts, now, rest_s = broken(), 0.0, RESTS_S[0]
    for _ in range(rests):
        now += rest_s
        (probe,) = hosts.begin([late("b")], now)
        rest_s = hosts.ended(probe, now, well=False) or 0
    assert rest_s == RESTS_S[min(rests, len(RESTS_S) - 1)]
