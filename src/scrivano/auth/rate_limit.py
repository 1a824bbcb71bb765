"""How much each key uses at the moment: requests a minute, and open streams. Pure but for the clock that it is given.

What must outlast a restart, jobs and hours of audio, is counted in `quotas`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["RateLimiter"]

# Who waited as long as was said must not be sent away for the last digit of a sum.
ROUNDING = 1e-6


@dataclass(slots=True)
class _Bucket:
    tokens: float
    filled_at: float


class RateLimiter:
    """Token buckets, one a key: a minute's requests may come at once, and come back evenly.

    `clock` tells seconds and never goes back. Not thread-safe: it belongs to the server's loop.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._buckets: dict[str, _Bucket] = {}
        self._streams: Counter[str] = Counter()

    def wait_secs(self, key_id: str, per_minute: int | None) -> float:
        """Count a request; 0 admits it, else it is not counted, and so many seconds later one will be."""
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

    def open_stream(self, key_id: str, most: int | None) -> bool:
        """Count a stream, which must be closed again; False, and not counted, where it is one too many."""
        if most is not None and self._streams[key_id] >= most:
            return False
        self._streams[key_id] += 1
        return True

    def close_stream(self, key_id: str) -> None:
        self._streams[key_id] -= 1
        if not self._streams[key_id]:
            del self._streams[key_id]
