"""The kill matrix of a cluster with Ray: which part is killed, or gone for a while; and what must be true afterwards.

`python -m torture.cluster --runs 300`, on Linux with PostgreSQL's programs and `scrivano[ray,postgres,s3]`. One cluster
with the bundled model runs all the time; what was killed is replaced.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import psycopg

from benchmarks import machine
from benchmarks.figures import quantile
from scrivano.cli.local_cluster import Scrivano, private_s3, temporary_folder
from scrivano.cli.local_postgres import private_postgres
from scrivano.cli.local_program import Program, kill_tree, tree, wait_until
from scrivano.cli.local_ray import RayNodes
from scrivano.domain.errors import StartError
from torture.kills import COUNTED, SECRET, Spoken, clips, spoken
from torture.load import Load
from torture.receiver import Receiver, receiver

VICTIMS = ("server", "dispatcher", "node", "raylet", "head", "database", "storage", "frozen node")

# A node has room for one engine, and for preparing one recording.
NODES, NODE_CPUS = 2, 3
ENGINES = {"CLUSTER_ENGINES": str(NODES), "ENGINE_CPUS": "2", "CPU_THREADS": "1"}

SERVERS = 2
TIMEOUT_S = 300.0

# Ray ends what belongs to a head that was killed after a minute.
HEAD_S = 150.0

# A node that was frozen for longer counts as lost.
LONGEST_FREEZE_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """`gone_s`: how long the storage is gone. `calm_s`: the longest time between the recovery and the next round.
    `minutes`: no round begins later."""

    runs: int
    victims: Sequence[str] = VICTIMS
    minutes: float = float("inf")
    seed: int = 0
    gone_s: float = 60.0
    calm_s: float = 5.0
    open_jobs: int = 10
    clients: int = 3
    s3: bool = True


@dataclass(slots=True)
class Report:
    """`lost`, `wrong`, `double`: job ids. `next_s`: by victim, seconds until the next job was done. `stuck`: rounds
    after which none was. `ended`: parts that ended without being killed."""

    rounds: Counter[str] = field(default_factory=Counter)
    acknowledged: int = 0
    lost: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    double: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    stuck: list[str] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    calls_again: int = 0
    next_s: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    @property
    def good(self) -> bool:
        return not (self.lost or self.wrong or self.double or self.refused or self.stuck or self.ended)

    def lines(self) -> Iterator[str]:
        yield f"rounds           {self.rounds.total()}"
        for victim, count in self.rounds.items():
            times = self.next_s[victim] or [float("nan")]
            yield f"  {victim:<14} {count:4}, next job p50 {quantile(times, 0.5):.1f} s, most {max(times):.1f} s"
        yield f"acknowledged     {self.acknowledged}"
        for name in ("lost", "double", "wrong", "refused", "stuck", "ended"):
            items = getattr(self, name)
            yield f"{name:<16} {len(items)} {' '.join(items[:5])}".rstrip()
        yield f"calls made again {self.calls_again} (same webhook-id)"


class Torture:
    """One cluster. What ends, on purpose or by itself, is started again before the next round."""

    def __init__(self, stack: ExitStack, plan: Plan, hooks: Receiver) -> None:
        self.report = Report()
        self._plan = plan
        self._hooks = hooks
        self._lot = random.Random(plan.seed)
        self._count = 0
        self._folder = stack.enter_context(temporary_folder())
        self._postgres = stack.enter_context(private_postgres(self._folder / "postgres"))
        self._s3 = stack.enter_context(private_s3()) if plan.s3 else None
        self._storage = self._shared_folder() if self._s3 is None else self._s3.settings
        self._ray_stack = stack.enter_context(ExitStack())
        self._ray = self._new_ray()
        self._scrivano = stack.enter_context(Scrivano(self._folder, self._postgres.url, self._storage, self._ray))
        self._servers = [self._new_server() for _ in range(SERVERS)]
        self._urls = [_url(server) for server in self._servers]
        self._dispatcher = self._new_dispatcher()
        self._expected = self._undisturbed(clips())
        self._load = Load(self._url, list(self._expected), hooks.url, self._busy, plan.seed)

    def run(self) -> Report:
        until = time.monotonic() + 60 * self._plan.minutes
        victims: list[str] = []
        self._load.start(self._plan.clients)
        while self.report.rounds.total() < self._plan.runs and time.monotonic() < until:
            if not victims:
                victims = list(self._plan.victims)
                self._lot.shuffle(victims)
            self._round(victims.pop())
        self._load.stop()
        self._judge()
        return self.report

    # Rounds --------------------------------------------------------------------------------------------------------

    def _round(self, victim: str) -> None:
        time.sleep(self._lot.uniform(0, self._plan.calm_s))
        with ThreadPoolExecutor(1) as pool:
            next_job = pool.submit(self._seconds_to_the_next_job, len(self._hooks.messages))
            getattr(self, f"_hit_{victim.replace(' ', '_')}")()
            self._repair()
            seconds = next_job.result()
        if seconds is None:
            self.report.stuck.append(victim)
        else:
            self.report.next_s[victim].append(seconds)
        self.report.rounds[victim] += 1
        total, ended = self.report.rounds.total(), len(self._hooks.messages)
        print(f"{total} of {self._plan.runs}: {victim}, {ended} jobs are done", file=sys.stderr, flush=True)

    def _seconds_to_the_next_job(self, done: int) -> float | None:
        began = time.monotonic()
        with suppress(StartError):
            wait_until(lambda: len(self._hooks.messages) > done, "no job was done", TIMEOUT_S)
            return time.monotonic() - began
        return None

    def _hit_server(self) -> None:
        _kill(self._lot.choice(self._servers))

    def _hit_dispatcher(self) -> None:
        _kill(self._dispatcher)

    def _hit_node(self) -> None:
        _kill(self._ray.nodes[self._a_node()])

    def _hit_raylet(self) -> None:
        """The process alone: what it started has to end by itself."""
        program = self._ray.nodes[self._a_node()]
        for pid in tree(program.process.pid):
            if _program_of(pid) == "raylet":
                os.kill(pid, signal.SIGKILL)
        program.process.wait(TIMEOUT_S)

    def _hit_head(self) -> None:
        """The dispatcher ends, too; all of Ray is started again."""
        _kill(self._ray.nodes["head"])
        self._dispatcher.process.wait(HEAD_S)
        self._ray_stack.close()
        self._ray = self._scrivano.ray = self._new_ray()

    def _hit_database(self) -> None:
        self._postgres.kill()
        time.sleep(self._lot.uniform(0, 3))
        self._postgres.start()

    def _hit_storage(self) -> None:
        with self._storage_gone():
            time.sleep(self._plan.gone_s)

    def _hit_frozen_node(self) -> None:
        with self._ray.frozen(self._a_node()):
            time.sleep(self._lot.uniform(1, LONGEST_FREEZE_S))
        time.sleep(self._lot.uniform(0, self._plan.calm_s))  # it may write late, or end

    def _a_node(self) -> str:
        return self._lot.choice(self._nodes())

    @contextmanager
    def _storage_gone(self) -> Iterator[None]:
        """An S3 server that does not answer, or a folder that is not mounted."""
        if self._s3 is not None:
            with self._s3.program.frozen():
                yield
        else:
            folder = self._folder / "recordings"
            folder.rename(self._folder / "gone")
            try:
                yield
            finally:
                (self._folder / "gone").rename(folder)

    # Parts ---------------------------------------------------------------------------------------------------------

    def _repair(self) -> None:
        for number, server in enumerate(self._servers):
            if _ended(server):
                self._servers[number] = self._new_server()
                self._urls[number] = _url(self._servers[number])
        for _ in range(NODES - len(self._nodes())):
            self._ray.add(self._name("node"))
        if (code := self._dispatcher.process.poll()) is not None:
            if code not in (-signal.SIGKILL, 1):
                self.report.ended.append(f"the dispatcher, with {code}")
            self._dispatcher = self._new_dispatcher()

    def _name(self, kind: str) -> str:
        self._count += 1
        return f"{kind} {self._count}"

    def _nodes(self) -> list[str]:
        return [name for name, program in self._ray.nodes.items() if name != "head" and not _ended(program)]

    def _new_ray(self) -> RayNodes:
        folder = self._folder / self._name("ray").replace(" ", "")
        env = {**self._storage, "TMPDIR": str(self._folder)}
        ray = self._ray_stack.enter_context(RayNodes(folder, env, cpus=NODE_CPUS))
        ray.add(*(self._name("node") for _ in range(NODES)))
        return ray

    def _new_server(self) -> Program:
        return self._scrivano.server(self._name("server"), WEBHOOK_SECRET=SECRET)

    def _new_dispatcher(self) -> Program:
        dispatcher = self._scrivano.dispatcher(self._name("dispatcher"), **ENGINES)
        dispatcher.wait_for("dispatching")
        return dispatcher

    def _shared_folder(self) -> Mapping[str, str]:
        (self._folder / "recordings").mkdir()
        return {"BLOB_URL": f"file://{self._folder / 'recordings'}"}

    def _url(self) -> str:
        return self._lot.choice(self._urls)

    def _busy(self) -> bool:
        return len(self._load.acknowledged) - len(self._hooks.messages) >= self._plan.open_jobs

    # Judgement -----------------------------------------------------------------------------------------------------

    def _undisturbed(self, recordings: Sequence[Path]) -> dict[Path, Spoken]:
        jobs = {}
        for path in recordings:
            answer = httpx2.post(f"{self._url()}/jobs", files={"audio": (path.name, path.read_bytes())}, timeout=60)
            jobs[path] = str(answer.raise_for_status().json()["job_id"])
        return {path: spoken(self._job(job_id)) for path, job_id in jobs.items()}

    def _job(self, job_id: str) -> dict[str, Any]:
        """The job when it has ended, or its state after `TIMEOUT_S`."""
        deadline = time.monotonic() + TIMEOUT_S
        while True:
            job: dict[str, Any] = httpx2.get(f"{self._url()}/jobs/{job_id}?wait=20", timeout=60).json()
            if job.get("status") not in ("queued", "running") or time.monotonic() > deadline:
                return job

    def _judge(self) -> None:
        """Every acknowledged job is done, once, and its transcript is that of the undisturbed cluster."""
        acknowledged = self._load.acknowledged
        self.report.acknowledged = len(acknowledged)
        # 503 is right while the database or the storage is gone: the client has sent it again.
        self.report.refused += [text for text in self._load.refused if not text.startswith("503")]
        for job_id, recording in acknowledged.items():
            job = self._job(job_id)
            if job.get("status") not in ("done", "failed"):
                self.report.lost.append(f"{job_id} {job.get('status')}")
            elif job["status"] == "failed" or spoken(job) != self._expected[recording]:
                self.report.wrong.append(f"{job_id} {job['error'] or 'says something else'}")
        self._judge_calls()
        self._judge_store()

    def _judge_calls(self) -> None:
        with suppress(StartError):
            wait_until(lambda: self._load.acknowledged.keys() <= self._hooks.messages.keys(), "", TIMEOUT_S)
        lost, double = self._hooks.faults(self._load.acknowledged)
        self.report.lost += lost
        self.report.double += double
        self.report.calls_again = self._hooks.calls_again

    def _judge_store(self) -> None:
        """In the database: one row, transcript, last event, delivery a job."""
        with psycopg.connect(self._postgres.url) as db:
            for table, statement in COUNTED.items():
                rows = Counter(row[0] for row in db.execute(statement.encode()))
                jobs = self._load.acknowledged.keys()
                self.report.lost += [f"{job_id}: not in {table}" for job_id in jobs - rows.keys()]
                self.report.double += [f"{job_id}: {count} {table}" for job_id, count in rows.items() if count > 1]


def _ended(program: Program) -> bool:
    return program.process.poll() is not None


def _kill(program: Program) -> None:
    """Returns when it has ended."""
    kill_tree(program.process.pid)
    program.process.wait(TIMEOUT_S)


def _url(server: Program) -> str:
    return str(server.wait_for("listening")["url"])


def _command(pid: int) -> str:
    with suppress(OSError):  # it has just ended
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    return ""


def _program_of(pid: int) -> str:
    return Path(_command(pid).partition(" ")[0]).name


def torture(plan: Plan) -> Report:
    with receiver() as hooks, ExitStack() as stack:
        return Torture(stack, plan, hooks).run()


def main() -> int:
    parser = argparse.ArgumentParser(description="Kills the parts of a cluster under load, and counts what that costs.")
    parser.add_argument("--runs", type=int, default=40)
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin no round later")
    parser.add_argument("--victims", nargs="+", choices=VICTIMS, default=VICTIMS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--gone-secs", type=float, default=60.0, help="how long the storage is gone")
    parser.add_argument("--storage", choices=("s3", "folder"), default="s3")
    options = parser.parse_args()
    plan = Plan(
        runs=options.runs,
        victims=options.victims,
        minutes=options.minutes,
        seed=options.seed,
        gone_s=options.gone_secs,
        s3=options.storage == "s3",
    )
    print(machine.describe())
    began = time.monotonic()
    report = torture(plan)
    print(f"seconds          {time.monotonic() - began:.0f}", *report.lines(), sep="\n")
    return 0 if report.good else 1


if __name__ == "__main__":
    sys.exit(main())
