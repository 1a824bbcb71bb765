"""Rate limits of API keys: requests per minute and open streams. Pure except for the clock that is passed in.

Limits that must survive a restart, unfinished jobs and hours of audio, are counted in `store.quotas`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Bucket", "RateLimiter"]

# A client that waits exactly as long as it was asked to must not be refused because of a rounding error.
ROUNDING = 1e-6


@dataclass(frozen=True, slots=True)
class Bucket:
    """It holds one minute's requests, which may be sent at once, and refills steadily."""

    tokens: float

    def take(self, passed_s: float, per_minute: int) -> tuple[Bucket, float]:
        """The bucket after a request, `passed_s` after the one before; and 0, or, if it was empty, the seconds until a
        request is allowed."""
        tokens = min(float(per_minute), self.tokens + passed_s * per_minute / 60)
        if tokens < 1 - ROUNDING:
            return Bucket(tokens), (1 - tokens) * 60 / per_minute
        return Bucket(tokens - 1), 0.0


class RateLimiter:
    """A token bucket for each key.

    `clock` returns monotonic seconds. Not thread-safe: call it on the server's event loop only.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        # And when it was last used.
        self._buckets: dict[str, tuple[Bucket, float]] = {}
        self._streams: Counter[str] = Counter()

    def take(self, key_id: str, per_minute: int | None) -> float:
        """Count a request and return 0, or, if the bucket is empty, return the seconds until a request is allowed."""
        if per_minute is None:
            return 0.0
        now = self._clock()
        bucket, used_at = self._buckets.get(key_id, (Bucket(per_minute), now))
        bucket, wait_s = bucket.take(now - used_at, per_minute)
        self._buckets[key_id] = bucket, now
        return wait_s

    def open_stream(self, key_id: str, limit: int | None) -> bool:
        """Count a stream and return True; `close_stream` must follow. Return False if the limit is reached."""
        if limit is not None and self._streams[key_id] >= limit:
            return False
        self._streams[key_id] += 1
        return True

    def close_stream(self, key_id: str) -> None:
        self._streams[key_id] -= 1
        if not self._streams[key_id]:
            del self._streams[key_id]
