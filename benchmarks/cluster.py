"""How much of their time the engines of a cluster are at work, with 1, 2, 4 and 8 of them.

`python -m benchmarks.cluster`, on Linux with PostgreSQL's programs and `scrivano[ray,postgres]`.

Simulated: decoding. An engine reads its audio, sleeps as long as a GPU would decode, and returns text. Ray is told of
GPUs that do not exist. Real: all else: server, PostgreSQL, dispatcher, Ray with two nodes for engines and one without
GPUs, on which recordings are prepared, recordings and chunks in a shared folder.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from benchmarks import cluster_simulation, machine
from scrivano.cli.local_cluster import Scrivano, temporary_folder
from scrivano.cli.local_postgres import private_postgres
from scrivano.cli.local_program import Program, wait_until
from scrivano.cli.local_ray import RayNodes
from scrivano.engines.catalog import NANO_FOLDER

ENGINES = (1, 2, 4, 8)
RECORDING = NANO_FOLDER / "recording.flac"
ROOT = Path(__file__).parents[1]
WAIT_S = 900.0

# The dispatcher's CPU time for a chunk, as this benchmark has measured it with 8 engines (docs/scale.md).
DISPATCHER_MS = 6.6

# Short chunks, and small batches of them: preparing must not take more than these processors have.
SETTINGS = {"DEVICE": "cuda", "MAX_CHUNK_SECS": "5", "BATCH_SIZE": "8", "MEDIA_CPUS": "1", "ENGINE_CPUS": "0"}


@dataclass(frozen=True, slots=True)
class Batch:
    """Times are seconds since 1970."""

    engine: int
    began: float
    ended: float
    chunks: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """`rate`: chunks a second, from the first submission to the end of the last job. `busy`: the engines' share of time
    at work, from when all work until the last batch begins. `cpu_ms`: the dispatcher's CPU time for a chunk."""

    engines: int
    jobs: int
    chunks: int
    batches: int
    seconds: float
    busy: float
    cpu_ms: float

    @property
    def rate(self) -> float:
        return self.chunks / self.seconds


def main() -> None:
    parser = argparse.ArgumentParser(description="Measures how much of their time the engines of a cluster work.")
    parser.add_argument("--engines", type=int, nargs="+", default=ENGINES)
    parser.add_argument("--chunk-secs", type=float, default=0.75, help="how long decoding one chunk takes")
    parser.add_argument("--jobs", type=int, default=4, help="for each engine")
    parser.add_argument("--simulate", action="store_true", help="100 GPUs and a million jobs a day; measures nothing")
    parser.add_argument("--dispatcher-ms", type=float, default=DISPATCHER_MS, help="its CPU time for a chunk, there")
    options = parser.parse_args()
    if options.simulate:
        print(*cluster_simulation.report(cluster_simulation.Load(), options.dispatcher_ms / 1000), sep="\n")
        return
    print(json.dumps(machine.describe()), flush=True)
    results = measure(options.engines, options.chunk_secs, options.jobs)
    first = results[0]
    print("engines  jobs  chunks  batches      s  chunks/s  efficiency  busy  CPU ms a chunk")
    for one in results:
        efficiency = one.rate / one.engines / (first.rate / first.engines)
        print(
            f"{one.engines:7} {one.jobs:5} {one.chunks:7} {one.batches:8} {one.seconds:6.1f} {one.rate:9.2f}"
            f" {efficiency:11.3f} {one.busy:5.3f} {one.cpu_ms:15.1f}"
        )


def measure(counts: Sequence[int], chunk_s: float, jobs: int) -> list[Measured]:
    with ExitStack() as stack:
        folder = stack.enter_context(temporary_folder())
        (folder / "recordings").mkdir()
        storage = {"BLOB_URL": f"file://{folder / 'recordings'}"}
        log = folder / "batches"
        simulated = {"SIMULATED_CHUNK_S": str(chunk_s), "SIMULATED_LOG": str(log), "PYTHONPATH": python_path()}
        postgres = stack.enter_context(private_postgres(folder / "postgres"))
        ray = stack.enter_context(RayNodes(folder / "ray", {**simulated, "TMPDIR": str(folder)}))
        ray.add("node 1", "node 2", cpus=0, gpus=(max(counts) + 1) // 2)
        ray.add("node 3", cpus=2)
        scrivano = stack.enter_context(Scrivano(folder, postgres.url, storage, ray))
        server = scrivano.server("server")
        http = stack.enter_context(httpx2.Client(base_url=str(server.wait_for("listening")["url"]), timeout=60))
        return [_measure(scrivano, http, log, count, jobs * count) for count in counts]


def python_path() -> str:
    """With which nodes and dispatchers find this package."""
    return f"{ROOT}:{os.environ.get('PYTHONPATH', '')}"


def _measure(scrivano: Scrivano, http: httpx2.Client, log: Path, engines: int, count: int) -> Measured:
    env = {**scrivano.of_dispatchers, **SETTINGS, "CLUSTER_ENGINES": str(engines), "PYTHONPATH": python_path()}
    dispatcher = scrivano.start(f"dispatcher {engines}", ["benchmarks.simulated_dispatcher"], env)
    dispatcher.wait_for("dispatching")
    try:
        _warm_up(http, engines)
        print(f"{engines} engines are ready", file=sys.stderr, flush=True)
        return _run(http, dispatcher, log, engines, count)
    finally:
        dispatcher.stop()


def _warm_up(http: httpx2.Client, engines: int) -> None:
    """Start all engines: more start while chunks wait."""
    jobs = [_submit(http) for _ in range(engines)]
    wait_until(lambda: _ready(http) == engines or None, "the engines did not start", WAIT_S)
    _wait_for(http, jobs)


def _run(http: httpx2.Client, dispatcher: Program, log: Path, engines: int, count: int) -> Measured:
    log.unlink(missing_ok=True)
    began, cpu = time.time(), machine.tree_cpu_seconds(dispatcher.process.pid)
    _wait_for(http, [_submit(http) for _ in range(count)])
    seconds, cpu = time.time() - began, machine.tree_cpu_seconds(dispatcher.process.pid) - cpu
    batches = [Batch(**json.loads(line)) for line in log.read_text().splitlines()]
    chunks = sum(batch.chunks for batch in batches)
    return Measured(
        engines=engines,
        jobs=count,
        chunks=chunks,
        batches=len(batches),
        seconds=seconds,
        busy=busy(batches),
        cpu_ms=1000 * cpu / chunks,
    )


def busy(batches: Sequence[Batch]) -> float:
    """The engines' share of time at work, from when all have begun until the last batch begins."""
    engines = {batch.engine for batch in batches}
    start = max(min(batch.began for batch in batches if batch.engine == engine) for engine in engines)
    end = max(batch.began for batch in batches)
    work = sum(max(0.0, min(batch.ended, end) - max(batch.began, start)) for batch in batches)
    return work / (len(engines) * (end - start)) if end > start else 1.0


def _submit(http: httpx2.Client) -> str:
    answer = http.post("/jobs", files={"audio": (RECORDING.name, RECORDING.read_bytes())}, data={"language": "en"})
    return str(answer.raise_for_status().json()["job_id"])


def _wait_for(http: httpx2.Client, jobs: Sequence[str]) -> None:
    for job_id in jobs:
        job: dict[str, Any] = {"status": "queued"}
        while job["status"] in ("queued", "running"):
            job = http.get(f"/jobs/{job_id}?wait=20").raise_for_status().json()
        if job["status"] != "done":
            raise RuntimeError(f"{job['status']}: {job['error']}")


def _ready(http: httpx2.Client) -> int:
    engines = http.get("/model/status").json().get("engines") or ()
    return sum(engine["state"] == "ready" for engine in engines)


if __name__ == "__main__":
    main()
