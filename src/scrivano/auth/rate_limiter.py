"""Rate limits of API keys: requests per minute and open streams. Pure except for the clock that is passed in.

Limits that must survive a restart, unfinished jobs and hours of audio, are counted in `store.quotas`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["RateLimiter"]

# A client that waits exactly as long as it was asked to must not be refused because of a rounding error.
ROUNDING = 1e-6


@dataclass(slots=True)
class _Bucket:
    tokens: float
    filled_at: float


class RateLimiter:
    """A token bucket for each key: it holds one minute's requests, which may be sent at once, and refills steadily.

    `clock` returns monotonic seconds. Not thread-safe: call it on the server's event loop only.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._buckets: dict[str, _Bucket] = {}
        self._streams: Counter[str] = Counter()

    def take(self, key_id: str, per_minute: int | None) -> float:
        """Count a request and return 0, or, if the bucket is empty, return the seconds until a request is allowed."""
        if per_minute is None:
            return 0.0
        now = self._clock()
        bucket = self._buckets.setdefault(key_id, _Bucket(per_minute, now))
        filled = bucket.tokens + (now - bucket.filled_at) * per_minute / 60
        bucket.tokens, bucket.filled_at = min(float(per_minute), filled), now
        if bucket.tokens < 1 - ROUNDING:
            return (1 - bucket.tokens) * 60 / per_minute
        bucket.tokens -= 1
        return 0.0

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
