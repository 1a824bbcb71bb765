"""A day of a large cluster from measured costs: which part is the limit. For `benchmarks.cluster --simulate`.

Each part is a queue with some workers; a job passes all of them, one after the other. Random, with a fixed seed.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchmarks.figures import quantile

DAY_S = 86400.0
HOUR_S = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """`peak`: jobs in the hour that is simulated, compared with an average one. `rtfx`: of a GPU, not measured."""

    jobs_a_day: int = 1_000_000
    peak: float = 2.0
    minutes: float = 3.0
    chunk_s: float = 20.0
    rtfx: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """`job_s` and `chunk_s`: how long a worker is busy with each; `audio`: for a second of audio."""

    name: str
    workers: int
    job_s: float = 0.0
    chunk_s: float = 0.0
    audio: float = 0.0

    def seconds(self, audio_s: float, chunks: int) -> float:
        return self.job_s + chunks * self.chunk_s + audio_s * self.audio


@dataclass(frozen=True, slots=True, kw_only=True)
class Busy:
    """`share`: of the workers' time. `waits`: p50 and p99 of a job's seconds in the queue. `most`: jobs a day with all
    workers busy all the time."""

    part: Part
    share: float
    waits: tuple[float, float]
    most: float


def parts(load: Load, dispatcher_s: float) -> list[Part]:
    """With what was measured, see docs/scale.md and docs/performance.md. `dispatcher_s`: its CPU time for a chunk."""
    return [
        Part(name="servers (processes)", workers=4, job_s=0.0105),
        # A claim; a job's end; for each chunk its result, and an event, whose NOTIFY takes a lock of the database.
        Part(name="PostgreSQL, NOTIFY and writes", workers=1, job_s=0.001, chunk_s=1 / 2200),
        Part(name="CPUs that prepare", workers=32, audio=6.4 / HOUR_S),
        Part(name="dispatchers (one CPU each)", workers=2, chunk_s=dispatcher_s),
        Part(name="GPUs", workers=100, audio=1 / load.rtfx),
    ]


def simulate(load: Load, chain: Sequence[Part], seed: int = 0) -> list[Busy]:
    """An hour at the peak. Jobs arrive at random; their lengths are exponential."""
    lot = random.Random(seed)
    rate = load.peak * load.jobs_a_day / DAY_S
    arrivals = list(_arrivals(lot, rate))
    audio = [lot.expovariate(1 / (60 * load.minutes)) for _ in arrivals]
    found = []
    for part in chain:
        costs = [part.seconds(seconds, 1 + int(seconds / load.chunk_s)) for seconds in audio]
        ends, waits = _queue(part.workers, arrivals, costs)
        share = sum(costs) / (part.workers * HOUR_S)
        most = load.peak * load.jobs_a_day / share
        found.append(Busy(part=part, share=share, waits=(quantile(waits, 0.5), quantile(waits, 0.99)), most=most))
        order = sorted(range(len(ends)), key=ends.__getitem__)
        arrivals, audio = [ends[one] for one in order], [audio[one] for one in order]
    return found


def report(load: Load, dispatcher_s: float) -> Iterator[str]:
    found = simulate(load, parts(load, dispatcher_s))
    yield f"{load.jobs_a_day} jobs a day of {load.minutes:g} min, an hour with {load.peak:g} times the average"
    yield "part                            workers   busy  waits p50, p99 s   most jobs a day, evenly spread"
    for one in found:
        waits = f"{one.waits[0]:8.2f} {one.waits[1]:8.2f}"
        yield f"{one.part.name:31} {one.part.workers:7} {one.share:6.2f} {waits} {one.most:20,.0f}"
    first, second, *_ = sorted(found, key=lambda one: one.most)
    single = min((one for one in found if one.part.workers == 1), key=lambda one: one.most)
    yield f"the limit: {first.part.name}; with more of these: {second.part.name}, {second.most:,.0f} jobs a day"
    yield f"what cannot be multiplied: {single.part.name}, {single.most:,.0f} jobs a day"


def _arrivals(lot: random.Random, rate: float) -> Iterator[float]:
    time = lot.expovariate(rate)
    while time < HOUR_S:
        yield time
        time += lot.expovariate(rate)


def _queue(workers: int, arrivals: Sequence[float], costs: Sequence[float]) -> tuple[list[float], list[float]]:
    """When each job ends, and how long it waits; `arrivals` ascend."""
    free = [0.0] * workers
    ends, waits = [], []
    for arrival, cost in zip(arrivals, costs, strict=True):
        start = max(arrival, heapq.heappop(free))
        heapq.heappush(free, start + cost)
        ends.append(start + cost)
        waits.append(start - arrival)
    return ends, waits
