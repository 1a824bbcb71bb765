"""A long run: does the server grow? `python -m torture.soak --minutes 30`, or `make soak MINUTES=30`.

Jobs and loads of the model are spread over the time; the server's memory, descriptors and threads are sampled in
between.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx2

from benchmarks.servers import Scrivano
from torture.kills import SECRET, clips
from torture.receiver import receiver

# Share of the run that is ignored: until caches and thread pools are full, growth is normal.
WARM_SHARE = 0.2

KB = 1024


@dataclass(frozen=True, slots=True)
class Sample:
    """`resident_kb`: of the server process, without its child processes."""

    seconds: float
    resident_kb: int
    descriptors: int
    threads: int


@dataclass(frozen=True, slots=True)
class Trend:
    """`values`: after the warm-up, at each quarter of the rest, and the last. `slope`: growth per hour, by the
    estimator of Theil and Sen: the median of the slopes of all pairs."""

    values: tuple[float, ...]
    slope: float

    def __str__(self) -> str:
        return f"{' → '.join(f'{value:.0f}' for value in self.values)}, {self.slope:+.1f} an hour"


@dataclass(slots=True)
class Soaked:
    jobs: int = 0
    failed: int = 0
    loads: int = 0
    samples: list[Sample] = field(default_factory=list)

    def trend(self, name: str) -> Trend:
        return trend([(sample.seconds, float(getattr(sample, name))) for sample in self.samples])

    def lines(self) -> Iterator[str]:
        yield f"jobs             {self.jobs}, failed {self.failed}"
        yield f"model loads      {self.loads}"
        yield f"samples          {len(self.samples)}"
        for name in ("resident_kb", "descriptors", "threads"):
            yield f"{name:<16} {self.trend(name)}"


def trend(points: Sequence[tuple[float, float]]) -> Trend:
    """`points`: seconds and values, in order. The first two tenths are the warm-up."""
    warm = points[int(WARM_SHARE * len(points)) :]
    slopes = [(b - a) / (t - s) for i, (s, a) in enumerate(warm) for t, b in warm[i + 1 :] if t > s]
    values = tuple(warm[(len(warm) - 1) * quarter // 4][1] for quarter in range(5))
    return Trend(values, 3600 * statistics.median(slopes) if slopes else 0.0)


def sample(pid: int, seconds: float) -> Sample:
    """Read the values of a process from /proc."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    resident_kb = int(status["VmRSS"].split()[0])
    return Sample(seconds, resident_kb, len(list(Path(f"/proc/{pid}/fd").iterdir())), int(status["Threads"]))


def soak(folder: Path, *, seconds: float, jobs: int, loads: int) -> Soaked:
    """Run this many jobs and loads of the model in this time, or longer if they take longer."""
    found = Soaked()
    recordings = clips()[:4]
    with receiver() as hooks:
        server = Scrivano(folder, WEBHOOK_SECRET=SECRET, RETENTION_HOURS="0.05")
        try:
            began = time.monotonic()
            for turn in range(loads):
                server.load()
                found.loads += 1
                for n in range(turn * jobs // loads, (turn + 1) * jobs // loads):
                    job_id = server.submit(recordings[n % len(recordings)], webhook_url=hooks.url)
                    if n % 10 == 0:
                        _follow(server, job_id)
                    found.failed += server.http.get(f"/jobs/{job_id}?wait=60").json()["status"] != "done"
                    found.jobs += 1
                found.samples.append(sample(server.pid, time.monotonic() - began))
                _unload(server)
                time.sleep(max(0.0, began + seconds * (turn + 1) / loads - time.monotonic()))
        finally:
            server.stop()
    return found


def _unload(server: Scrivano) -> None:
    server.http.post("/model/unload").raise_for_status()
    while server.http.get("/model/status").json()["state"] != "unloaded":
        time.sleep(0.05)


def _follow(server: Scrivano, job_id: str) -> None:
    """A client that disconnects in the middle of a stream."""
    with suppress(httpx2.HTTPError), server.http.stream("GET", f"/jobs/{job_id}/stream") as answer:
        next(answer.iter_raw(), None)


def main() -> int:
    parser = argparse.ArgumentParser(description="Runs a server for long, and looks whether it grows.")
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--loads", type=int, default=100)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = soak(Path(folder), seconds=60 * options.minutes, jobs=options.jobs, loads=options.loads)
    print(*found.lines(), sep="\n")
    return 1 if found.failed else 0


if __name__ == "__main__":
    sys.exit(main())
