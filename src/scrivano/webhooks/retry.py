"""Whether and when a failed webhook call is made again. Pure."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx2

__all__ = ["MODEL_KINDS", "CallFailure", "failure_of", "next_delay_s"]

MINUTE, HOUR = 60.0, 3600.0

# Seconds after each failed attempt: 1 and 2 as the HTTP contract says, then the schedule of Standard Webhooks, which
# takes three days in all.
JOB_DELAYS_S = (1.0, 2.0, 30.0, 5 * MINUTE, 30 * MINUTE, *(hours * HOUR for hours in (2, 5, 10, 14, 20, 24)))

# A model event that is older than a few seconds may no longer be true, so it is not worth more attempts.
MODEL_DELAYS_S = (1.0, 2.0)

MODEL_KINDS = ("model_ready", "model_unloaded")

# Delays of 30 s and more vary by this share, so that a receiver that was down is not called by all at once.
JITTER = 0.1

MAX_RETRY_AFTER_S = 24 * HOUR


@dataclass(frozen=True, slots=True)
class CallFailure:
    """`gone`: the receiver wants no more calls. `retry_after_s`: it wants the next call no earlier than that."""

    error: str
    gone: bool = False
    retry_after_s: float = 0.0


def failure_of(response: httpx2.Response, now: datetime) -> CallFailure | None:
    """None: the receiver accepted the call."""
    if response.is_success:
        return None
    return CallFailure(
        f"answered {response.status_code}",
        gone=response.status_code == 410,
        retry_after_s=_retry_after_s(response.headers.get("Retry-After", ""), now),
    )


def next_delay_s(kind: str, earlier_failures: int, chance: Callable[[], float] = random.random) -> float | None:
    """Seconds from a failed attempt to the next one. None: give up. `chance` returns 0 to 1, for the jitter."""
    delays_s = MODEL_DELAYS_S if kind in MODEL_KINDS else JOB_DELAYS_S
    if earlier_failures >= len(delays_s):
        return None
    delay_s = delays_s[earlier_failures]
    return delay_s if delay_s < 30 else delay_s * (1 + JITTER * (2 * chance() - 1))


def _retry_after_s(text: str, now: datetime) -> float:
    """Seconds or a date, as RFC 9110 allows, at most a day. 0 for anything else."""
    if text.isascii() and text.isdigit():
        return min(float(text), MAX_RETRY_AFTER_S)
    try:
        until = parsedate_to_datetime(text)
        wait_s = (until if until.tzinfo else until.replace(tzinfo=UTC)) - now
    except (ValueError, OverflowError):
        return 0.0
    return min(max(0.0, wait_s.total_seconds()), MAX_RETRY_AFTER_S)
