from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scrivano.auth.rate_limiter import RateLimiter


class Clock:
    def __init__(self) -> None:
        self.secs = 100.0

    def __call__(self) -> float:
        return self.secs


def test_one_minutes_requests_may_be_sent_at_once_and_the_bucket_refills_steadily() -> None:
    clock = Clock()
    rate_limiter = RateLimiter(clock)

    assert [rate_limiter.take("a", 3) for _ in range(4)] == [0, 0, 0, 20]
    assert rate_limiter.take("b", 3) == 0
    clock.secs += 19
    assert rate_limiter.take("a", 3) == pytest.approx(1)
    clock.secs += 1
    assert rate_limiter.take("a", 3) == 0
    clock.secs += 3600
    assert [rate_limiter.take("a", 3) > 0 for _ in range(4)] == [False, False, False, True]


@given(st.integers(1, 1000), st.lists(st.floats(0, 30), max_size=200))
def test_no_more_is_admitted_than_one_minutes_requests_and_the_refill(per_minute: int, pauses: list[float]) -> None:
    clock = Clock()
    rate_limiter = RateLimiter(clock)
    admitted, started_at = 0, clock.secs
    for pause in pauses:
        clock.secs += pause
        if wait := rate_limiter.take("a", per_minute):
            clock.secs += wait
            assert rate_limiter.take("a", per_minute) == 0
        admitted += 1

    assert admitted <= per_minute + (clock.secs - started_at) * per_minute / 60 + 0.01


def test_streams_are_counted_by_key_until_they_are_closed() -> None:
    rate_limiter = RateLimiter(Clock())

    assert rate_limiter.open_stream("a", 1)
    assert not rate_limiter.open_stream("a", 1)
    assert rate_limiter.open_stream("b", 1)
    assert rate_limiter.open_stream("a", None)
    rate_limiter.close_stream("a")
    rate_limiter.close_stream("a")
    assert rate_limiter.open_stream("a", 1)
