"""Submit jobs at given times and measure how long each takes. Uses threads, since they only wait."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")

# Of clips beside a long job.
MOST_ARRIVALS = 20


def timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


@dataclass(frozen=True, slots=True)
class Together:
    """`waits`: each job's seconds from submission to done; `seconds`: until the last one was. `cpu`: processor time."""

    waits: list[float]
    seconds: float
    cpu: float = 0.0


def at_once(jobs: Sequence[Callable[[], object]]) -> Together:
    began = time.perf_counter()
    with ThreadPoolExecutor(len(jobs)) as pool:
        waits = list(pool.map(timed, jobs))
    return Together(waits, time.perf_counter() - began)


def with_arrivals(long: Callable[[], object], job: Callable[[], object], every_s: float) -> Together:
    """`seconds`: of the long job; `waits`: of the others, one of which comes every so often while it goes on.

    At most `MOST_ARRIVALS` come: a server that is too slow for them would never end its long job.
    """
    with ThreadPoolExecutor(64) as pool:
        running = pool.submit(timed, long)
        waiting: list[Future[float]] = []
        began = time.perf_counter()
        while not running.done() and len(waiting) < MOST_ARRIVALS:
            time.sleep(max(0.0, min(0.05, began + every_s * (len(waiting) + 0.5) - time.perf_counter())))
            if time.perf_counter() >= began + every_s * (len(waiting) + 0.5):
                waiting.append(pool.submit(timed, job))
        return Together([one.result() for one in waiting], running.result())


def interleaved(systems: Mapping[str, Callable[[], T]], rounds: int) -> dict[str, list[T]]:
    """Each system once a round, in alternating order, so that a drift of the machine affects all of them."""
    found: dict[str, list[T]] = {name: [] for name in systems}
    for n in range(rounds):
        for name in list(systems)[:: 1 if n % 2 == 0 else -1]:
            found[name].append(systems[name]())
    return found
