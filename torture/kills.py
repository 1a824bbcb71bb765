"""The kill matrix: which process is killed, by which signal, when; and what must be true afterwards.

`python -m torture.kills --kills 1000`, or `make torture N=1000`.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from itertools import product
from pathlib import Path
from signal import Signals
from typing import Any, get_args

import scrivano
from benchmarks.figures import quantile
from benchmarks.servers import Scrivano
from torture.load import Load
from torture.receiver import Moment, Receiver, receiver

# `webhook`: the server, at the moment of a webhook call.
VICTIMS = ("server", "engine", "media", "webhook")

BLOWS = (signal.SIGKILL, signal.SIGSTOP, signal.SIGTERM)
MARKS = {"engine": "scrivano.engines.worker", "media": "scrivano.media.child"}
SECRET = "whsec_" + "dG9ydHVyZSB0b3J0dXJlIHRvcnR1cmUgdG9ydHVyZQ=="
RECORDINGS = Path(__file__).parents[1] / "tests" / "data" / "recordings"
TIMEOUT_S = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """`stop_s`: how long a SIGSTOP lasts. `open_jobs`: how many are queued or running meanwhile. `calm_s`: the longest
    time between two signals."""

    kills: int
    seed: int = 0
    stop_s: float = 30.0
    calm_s: float = 1.0
    open_jobs: int = 32
    clients: int = 4


@dataclass(slots=True)
class Report:
    """`lost`, `wrong`, `double`: job ids. `health_s`: from a restart to its first answer; `first_s`: to the first job
    that ended after it; `end_s`: from SIGTERM to the server's end."""

    blows: Counter[tuple[str, str]] = field(default_factory=Counter)
    acknowledged: int = 0
    lost: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    double: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    calls_again: int = 0
    restarts: int = 0
    health_s: list[float] = field(default_factory=list)
    first_s: list[float] = field(default_factory=list)
    end_s: list[float] = field(default_factory=list)
    integrity: str = ""

    @property
    def good(self) -> bool:
        return not (self.lost or self.wrong or self.double or self.refused) and self.integrity == "ok"

    def lines(self) -> Iterator[str]:
        yield f"kills            {sum(self.blows.values())}"
        for (victim, blow), count in sorted(self.blows.items()):
            yield f"  {victim:<8} {blow:<8} {count}"
        yield f"restarts         {self.restarts}"
        yield f"acknowledged     {self.acknowledged}"
        for name in ("lost", "double", "wrong", "refused"):
            items = getattr(self, name)
            yield f"{name:<16} {len(items)} {' '.join(items[:5])}".rstrip()
        yield f"calls made again {self.calls_again} (same webhook-id)"
        yield f"store            {self.integrity}"
        for name, meaning in (("health_s", "/health answers"), ("first_s", "a job ends"), ("end_s", "SIGTERM to end")):
            if values := getattr(self, name):
                spread = ", ".join(f"{label} {quantile(values, share):.2f} s" for label, share in SHARES)
                yield f"{meaning:<16} {spread}, of {len(values)}"


SHARES = (("p50", 0.5), ("p95", 0.95), ("most", 1.0))

Spoken = list[tuple[str, float, float]]


def spoken(job: Mapping[str, Any]) -> Spoken:
    return [(segment["text"], segment["start"], segment["end"]) for segment in job["segments"]]


def undisturbed(folder: Path, recordings: Sequence[Path]) -> dict[Path, Spoken]:
    server = Scrivano(folder)
    try:
        jobs = {path: server.submit(path) for path in recordings}
        return {path: spoken(_ended(server, job_id)) for path, job_id in jobs.items()}
    finally:
        server.stop()


def _ended(server: Scrivano, job_id: str) -> dict[str, Any]:
    """The job when it has ended, or its state after `TIMEOUT_S`."""
    deadline = time.monotonic() + TIMEOUT_S
    while True:
        job: dict[str, Any] = server.http.get(f"/jobs/{job_id}?wait=30").json()
        if job.get("status") not in ("queued", "running") or time.monotonic() > deadline:
            return job


class Torture:
    """Runs one server after another on one data folder, and kills their processes."""

    def __init__(self, folder: Path, plan: Plan, hooks: Receiver, expected: Mapping[Path, Spoken]) -> None:
        self.report = Report()
        self._folder = folder
        self._plan = plan
        self._hooks = hooks
        self._expected = expected
        self._lot = random.Random(plan.seed)
        self._restarted: list[datetime] = []
        self._server = self._start()
        self._load = Load(self._url, list(expected), hooks.url, self._busy, plan.seed)

    def run(self) -> Report:
        cells = list(product(VICTIMS, BLOWS))
        self._load.start(self._plan.clients)
        try:
            while (given := self.report.blows.total()) < self._plan.kills:
                self._lot.shuffle(cells)
                cells.sort(key=self._blows_of)  # after a miss the same cell is tried again before others have two
                for victim, blow in cells[: self._plan.kills - given]:
                    time.sleep(self._lot.uniform(0, self._plan.calm_s))
                    if self._hit(victim, blow):
                        self.report.blows[victim, blow.name] += 1
                print(f"\r{self.report.blows.total()} of {self._plan.kills}", end="", file=sys.stderr, flush=True)
            print(file=sys.stderr)
            self._load.stop()
            self._judge()
        finally:
            self._server.stop()
        self._judge_store()
        return self.report

    def _blows_of(self, cell: tuple[str, Signals]) -> int:
        return self.report.blows[cell[0], cell[1].name]

    def _url(self) -> str:
        return self._server.url

    def _busy(self) -> bool:
        return len(self._load.acknowledged) - len(self._hooks.messages) >= self._plan.open_jobs

    def _start(self) -> Scrivano:
        began = time.monotonic()
        server = Scrivano(self._folder, WEBHOOK_SECRET=SECRET)
        server.http.get("/health").raise_for_status()
        self.report.health_s.append(time.monotonic() - began)
        return server

    # Signals -----------------------------------------------------------------------------------------------------

    def _hit(self, victim: str, blow: Signals) -> bool:
        """Returns whether there was a process to kill."""
        if victim == "webhook":
            return self._hit_at_call(blow)
        if victim == "server":
            os.kill(self._server.pid, blow)
            self._after(blow)
            return True
        pids = _patiently(lambda: self._children(MARKS[victim]))
        return bool(pids) and self._hit_child(self._lot.choice(pids), blow)

    def _hit_child(self, pid: int, blow: Signals) -> bool:
        try:
            os.kill(pid, blow)
        except ProcessLookupError:
            return False
        if blow is signal.SIGSTOP:
            time.sleep(self._plan.stop_s)
            with suppress(ProcessLookupError):  # It was killed because it did not respond.
                os.kill(pid, signal.SIGCONT)
        return True

    def _hit_at_call(self, blow: Signals) -> bool:
        moment: Moment = self._lot.choice(get_args(Moment))
        pid = self._server.pid
        sprung = self._hooks.at_next_call(moment, lambda: os.kill(pid, blow))
        if not sprung.wait(20) and self._hooks.forget_trap():
            return False
        sprung.wait()
        self._after(blow)
        return True

    def _children(self, mark: str) -> list[int]:
        return [pid for pid, command in self._server.children().items() if mark in command.replace("\0", " ")]

    def _after(self, blow: Signals) -> None:
        """After a signal to the server: it continues, or a new one is started."""
        if blow is signal.SIGSTOP:
            time.sleep(self._plan.stop_s)
            os.kill(self._server.pid, signal.SIGCONT)
            return
        began = time.monotonic()
        code = self._server.process.wait(60)
        if blow is signal.SIGTERM:
            self.report.end_s.append(time.monotonic() - began)
            if code != 0:
                self.report.refused.append(f"SIGTERM ended the server with {code}")
        self._server.http.close()
        self.report.restarts += 1
        self._restarted.append(datetime.now().astimezone())
        self._server = self._start()

    # Judgement -------------------------------------------------------------------------------------------------

    def _judge(self) -> None:
        """Over HTTP: every acknowledged job is done, once, and its transcript is that of an undisturbed server."""
        self.report.acknowledged = len(self._load.acknowledged)
        self.report.refused += self._load.refused
        ended_at = []
        for job_id, recording in self._load.acknowledged.items():
            job = _ended(self._server, job_id)
            if job.get("status") not in ("done", "failed"):
                self.report.lost.append(job_id)
            elif job["status"] == "failed" or spoken(job) != self._expected[recording]:
                self.report.wrong.append(f"{job_id} {job['error'] or 'says something else'}")
            if job.get("completed_at"):
                ended_at.append(datetime.fromisoformat(job["completed_at"]))
        _patiently(lambda: self._load.acknowledged.keys() <= self._hooks.messages.keys())
        self._judge_calls()
        later = [[end - restart for end in ended_at if end > restart] for restart in self._restarted]
        self.report.first_s = [min(ends).total_seconds() for ends in later if ends]

    def _judge_calls(self) -> None:
        lost, double = self._hooks.faults(self._load.acknowledged)
        self.report.lost += lost
        self.report.double += double
        self.report.calls_again = self._hooks.calls_again

    def _judge_store(self) -> None:
        """In the database, after the server's end: one row, transcript, last event, delivery a job."""
        with closing(sqlite3.connect(self._folder / "scrivano.db")) as db:
            self.report.integrity = str(db.execute("PRAGMA integrity_check").fetchone()[0])
            for table in ("jobs", "results", "events", "deliveries"):
                rows = Counter(row[0] for row in db.execute(COUNTED[table]))
                jobs = self._load.acknowledged.keys()
                self.report.lost += [f"{job_id}: not in {table}" for job_id in jobs - rows.keys()]
                self.report.double += [f"{job_id}: nobody was told of it" for job_id in rows.keys() - jobs]
                self.report.double += [f"{job_id}: {count} {table}" for job_id, count in rows.items() if count > 1]


COUNTED = {
    "jobs": "SELECT id FROM jobs",
    "results": "SELECT job_id FROM results",
    "events": "SELECT job_id FROM events WHERE type IN ('done', 'error')",
    "deliveries": "SELECT job_id FROM deliveries WHERE kind = 'job'",
}


def _patiently(look: Callable[[], Any], timeout_s: float = 60.0) -> Any:
    """Call `look` until its result is true or the time is over. Returns the last result."""
    deadline = time.monotonic() + timeout_s
    while not (found := look()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return found


def torture(folder: Path, plan: Plan, recordings: Sequence[Path]) -> Report:
    expected = undisturbed(folder / "undisturbed", recordings)
    with receiver() as hooks:
        return Torture(folder / "tortured", plan, hooks, expected).run()


def clips() -> list[Path]:
    """Recordings of two seconds to two minutes, one to seven chunks; mostly short, so that many are acknowledged."""
    short = ("en-clean-short-00", "it-clean-short-02", "en-clean-short-03", "it-exact-0", "en-exact-4", "it-exact-2")
    chosen = [RECORDINGS / f"{name}.flac" for name in (*short, "en-it-mixed-0")]
    return [*chosen, Path(scrivano.__file__).parent / "nano" / "recording.flac"]


def main() -> int:
    parser = argparse.ArgumentParser(description="Hits a server under load, and counts what that costs.")
    parser.add_argument("--kills", type=int, default=120)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--stop-secs", type=float, default=30.0, help="how long a SIGSTOP lasts")
    parser.add_argument("--json", type=Path, help="write all that was measured there, too")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        plan = Plan(kills=options.kills, seed=options.seed, stop_s=options.stop_secs)
        began = time.monotonic()
        report = torture(Path(folder), plan, clips())
    print(f"seconds          {time.monotonic() - began:.0f}", *report.lines(), sep="\n")
    if options.json:
        blows = {" ".join(cell): count for cell, count in report.blows.items()}
        options.json.write_text(json.dumps({**asdict(replace(report, blows=Counter())), "blows": blows}))
    return 0 if report.good else 1


if __name__ == "__main__":
    sys.exit(main())
