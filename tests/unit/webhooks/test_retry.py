from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx2
import pytest

from scrivano.webhooks.retry import failure_of, next_delay_s

NOW = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("retry_after", "expected_s"),
    [
        (None, 0),
        ("7", 7),
        ("0", 0),
        ("99999999999", 86_400),
        (format_datetime(NOW + timedelta(minutes=5), usegmt=True), 300),
        (format_datetime(NOW - timedelta(minutes=5), usegmt=True), 0),
        ("-5", 0),
        ("soon", 0),
        ("٣", 0),
    ],
)
def test_retry_after_is_seconds_or_a_date(retry_after: str | None, expected_s: float) -> None:
    headers = [] if retry_after is None else [(b"Retry-After", retry_after.encode())]

    failure = failure_of(httpx2.Response(429, headers=headers), NOW)

    assert failure is not None
    assert (failure.retry_after_s, failure.gone) == (expected_s, False)


def test_only_2xx_is_a_success() -> None:
    assert failure_of(httpx2.Response(204), NOW) is None
    for status in (199, 300, 304, 400, 410, 500):
        assert failure_of(httpx2.Response(status), NOW) is not None


def test_retries_end_after_three_days_and_vary_a_little() -> None:
    delays = [next_delay_s("job", failures, lambda: 0.5) for failures in range(12)]

    assert delays[:3] == [1, 2, 30]
    assert delays[11] is None
    assert 2.9 < sum(delay or 0 for delay in delays) / 86_400 < 3.3
    assert [next_delay_s("job", 2, lambda: 0), next_delay_s("job", 2, lambda: 1)] == [27, 33]
    assert next_delay_s("model_ready", 2) is None
