"""Which webhook calls may be made now: a few at a time for each host, and few to a host that keeps failing. Pure.

Each host has a circuit. After `FAILURES` failures in a row it opens: the host's late attempts wait. When the waiting
time is over, one late attempt is made as a probe; if it succeeds, the circuit closes, else it opens for longer.
The first `GUARANTEED_ATTEMPTS` attempts of a delivery ignore the circuit, because the HTTP contract promises them
within seconds, whatever happened to other deliveries; if one of them succeeds, the circuit closes, too. Times are
monotonic seconds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from scrivano.store.outbox import GUARANTEED_ATTEMPTS

__all__ = ["MAX_CALLS", "PER_HOST", "Call", "CircuitBreaker"]

PER_HOST = 4

# Calls at once, to all hosts. Each may hold a transcript of megabytes in memory.
MAX_CALLS = 32

# Failures in a row, of any deliveries, that open a host's circuit.
FAILURES = 5

# How long a circuit stays open: the first time, after the first failed probe, and so on. The last value repeats.
OPEN_S = (30.0, 60.0, 120.0, 300.0, 600.0)

# How many failing hosts are remembered. A forgotten host needs `FAILURES` new failures to open its circuit.
MAX_CIRCUITS = 1000


class Call(Protocol):
    """A delivery that is due. `attempts`: the attempts made so far."""

    @property
    def url(self) -> str: ...
    @property
    def host(self) -> str: ...
    @property
    def attempts(self) -> int: ...


C = TypeVar("C", bound=Call)


@dataclass(slots=True)
class _Circuit:
    """`failures` and `times_opened` since the last success. `probe`: the URL of the probe that is in progress."""

    failures: int = 0
    times_opened: int = 0
    open_until: float = 0.0
    probe: str | None = None


class CircuitBreaker:
    """One call for each URL at a time, so that a receiver gets its events in order. Not thread-safe."""

    def __init__(self) -> None:
        self._calls: Counter[str] = Counter()  # by host
        self._urls: set[str] = set()
        self._circuits: dict[str, _Circuit] = {}

    @property
    def busy_urls(self) -> Collection[str]:
        return frozenset(self._urls)

    @property
    def full_hosts(self) -> Collection[str]:
        return {host for host, calls in self._calls.items() if calls >= PER_HOST}

    def start(self, due: Sequence[C], now: float) -> list[C]:
        """Those of the due calls that may be made now. `ended` must be called for each of them.

        Hosts with fewer calls in progress are served first, so that one slow host never takes all of the capacity.
        """
        ahead: Counter[str] = Counter()
        ranked: list[tuple[int, int, C]] = []
        for place, call in enumerate(due):
            ranked.append((self._calls[call.host] + ahead[call.host], place, call))
            ahead[call.host] += 1
        started: list[C] = []
        for *_, call in sorted(ranked, key=lambda item: item[:2]):
            full = len(self._urls) >= MAX_CALLS or self._calls[call.host] >= PER_HOST
            if full or call.url in self._urls or not self._circuit_allows(call, now):
                continue
            self._urls.add(call.url)
            self._calls[call.host] += 1
            started.append(call)
        return started

    def _circuit_allows(self, call: Call, now: float) -> bool:
        """If the call is allowed as a probe, it is recorded as the probe."""
        circuit = self._circuits.get(call.host)
        if circuit is None or not circuit.times_opened or call.attempts < GUARANTEED_ATTEMPTS:
            return True
        if now < circuit.open_until or circuit.probe is not None:
            return False
        circuit.probe = call.url
        return True

    def ended(self, call: Call, now: float, *, host_works: bool | None) -> float | None:
        """A call ended. `host_works`: even if it refused this delivery; None: no call was made after all.

        Returns the seconds for which the host's circuit is open, if it opened now.
        """
        self._urls.discard(call.url)
        self._calls[call.host] -= 1
        if not self._calls[call.host]:
            del self._calls[call.host]
        if host_works is False:
            return self._failed(call, now)
        if host_works:
            self._circuits.pop(call.host, None)
        else:
            self._end_probe(call)
        return None

    def _end_probe(self, call: Call) -> bool:
        """Returns whether the call was its host's probe."""
        circuit = self._circuits.get(call.host)
        if circuit is None or circuit.probe != call.url:
            return False
        circuit.probe = None
        return True

    def _failed(self, call: Call, now: float) -> float | None:
        was_probe = self._end_probe(call)
        circuit = self._circuits.pop(call.host, None) or _Circuit()
        self._circuits[call.host] = circuit  # Last in the dictionary: the host that failed last is forgotten last.
        if len(self._circuits) > MAX_CIRCUITS:
            del self._circuits[next(iter(self._circuits))]
        circuit.failures += 1
        # First attempts that fail while the circuit is open do not extend it; only a failed probe does.
        if not was_probe and (circuit.times_opened or circuit.failures < FAILURES):
            return None
        open_s = OPEN_S[min(circuit.times_opened, len(OPEN_S) - 1)]
        circuit.times_opened += 1
        circuit.open_until = now + open_s
        return open_s
