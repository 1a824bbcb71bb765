"""Which webhook calls may be made now: a few at a time for each host, and none to one that rests. Pure.

A host that fails again and again is given rest (a circuit breaker): its later attempts wait, then one of them is made
as a probe, and only its success lets the others go. A delivery's first `ALWAYS` attempts are never held back, since the
contract has them at once and seconds apart, whatever became of other jobs' deliveries; each that succeeds ends the
rest. Times are monotonic seconds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from scrivano.store.outbox import ALWAYS

__all__ = ["IN_ALL", "PER_HOST", "Call", "CircuitBreaker"]

PER_HOST = 4
# Calls at once. A transcript of megabytes may be in each.
IN_ALL = 32

# In a row, of whatever deliveries, after which a host is given rest.
FAILURES = 5

# How long, each time that it did not help; the last one for ever.
RESTS_S = (30.0, 60.0, 120.0, 300.0, 600.0)

# CircuitBreaker that failed and are remembered; the one that was forgotten just has to fail anew.
KEPT = 1000


class Call(Protocol):
    """A delivery that is due. `attempts`: made so far."""

    @property
    def url(self) -> str: ...
    @property
    def host(self) -> str: ...
    @property
    def attempts(self) -> int: ...


C = TypeVar("C", bound=Call)


@dataclass(slots=True)
class _Health:
    """`failures` and `rests` in a row. `probe`: the URL of the one late call under way since a rest ended."""

    failures: int = 0
    rests: int = 0
    rests_until: float = 0.0
    probe: str | None = None


class CircuitBreaker:
    """One call a URL at a time, so that a receiver hears of things in their order."""

    def __init__(self) -> None:
        self._calls: Counter[str] = Counter()
        self._urls: set[str] = set()
        self._health: dict[str, _Health] = {}

    @property
    def busy_urls(self) -> Collection[str]:
        return frozenset(self._urls)

    @property
    def full_hosts(self) -> Collection[str]:
        return {host for host, calls in self._calls.items() if calls >= PER_HOST}

    def begin(self, due: Sequence[C], now: float) -> list[C]:
        """Those of the due calls that are to be made now; each must be told of to `ended`.

        CircuitBreaker with fewer calls under way go first, so that a slow one never has all of the places.
        """
        ahead: Counter[str] = Counter()
        line: list[tuple[int, int, C]] = []
        for place, call in enumerate(due):
            line.append((self._calls[call.host] + ahead[call.host], place, call))
            ahead[call.host] += 1
        return [call for *_, call in sorted(line, key=lambda one: one[:2]) if self._begin(call, now)]

    def _begin(self, call: Call, now: float) -> bool:
        full = len(self._urls) >= IN_ALL or self._calls[call.host] >= PER_HOST
        if full or call.url in self._urls or not self._lets(call, now):
            return False
        self._urls.add(call.url)
        self._calls[call.host] += 1
        return True

    def _lets(self, call: Call, now: float) -> bool:
        health = self._health.get(call.host)
        if health is None or not health.rests or call.attempts < ALWAYS:
            return True
        if now < health.rests_until or health.probe is not None:
            return False
        health.probe = call.url
        return True

    def ended(self, call: Call, now: float, *, well: bool | None) -> float | None:
        """A call ended; `well`: the host is there and works, whether or not it took this delivery; None: it was not
        asked after all.

        Returns how long the host's late attempts are to wait now, where a rest begins.
        """
        self._urls.discard(call.url)
        self._calls[call.host] -= 1
        if not self._calls[call.host]:
            del self._calls[call.host]
        if well is None:
            self._end_probe(call)
            return None
        if well:
            self._health.pop(call.host, None)
            return None
        return self._failed(call, now)

    def _end_probe(self, call: Call) -> bool:
        """Whether the call was its host's probe."""
        health = self._health.get(call.host)
        if health is None or health.probe != call.url:
            return False
        health.probe = None
        return True

    def _failed(self, call: Call, now: float) -> float | None:
        probed = self._end_probe(call)
        health = self._health.pop(call.host, None) or _Health()
        self._health[call.host] = health  # the one that failed last is forgotten last
        if len(self._health) > KEPT:
            del self._health[next(iter(self._health))]
        health.failures += 1
        if not probed and (health.rests or health.failures < FAILURES):
            return None
        rest_s = RESTS_S[min(health.rests, len(RESTS_S) - 1)]
        health.rests += 1
        health.rests_until = now + rest_s
        return rest_s
