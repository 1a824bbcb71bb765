"""Jobs on the nodes of a Ray cluster: real processes, two nodes on this machine, one engine each."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx2
import pytest
from media_files import repeated
from prometheus_client.parser import text_string_to_metric_families
from served import until

from scrivano.cli.local_cluster import Scrivano, private_s3, temporary_folder
from scrivano.cli.local_postgres import postgres_is_missing, private_postgres
from scrivano.cli.local_program import Program, tree
from scrivano.cli.local_ray import RayNodes

MISSING = "Ray is not installed" if find_spec("ray") is None else postgres_is_missing()

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1500),
    pytest.mark.ray,
    pytest.mark.skipif(MISSING is not None, reason=str(MISSING)),
]

WAIT_S = 240.0

# A node has room for one engine, and for preparing one recording.
NODE_CPUS, ENGINES = 3, {"CLUSTER_ENGINES": "2", "ENGINE_CPUS": "2", "CPU_THREADS": "1", "BATCH_SIZE": "2"}

# How long a chunk may take to go on elsewhere, with some patience for a machine that does other things, too.
AFTER_A_KILL_S, AFTER_A_FREEZE_S = 20 + 40, 35 + 40

# How long the bucket does not answer: longer than requests wait for it.
SILENT_S = 40.0

# Where dispatchers and nodes find an engine that crashes.
POISONED = Path(__file__).parents[1] / "children" / "poisoned"
WITH_POISONED = {"PYTHONPATH": os.pathsep.join(filter(None, [str(POISONED), os.environ.get("PYTHONPATH")]))}


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of several chunks."""
    return repeated(tmp_path_factory.mktemp("long") / "a-minute.wav", seconds=60)


class System:
    """PostgreSQL, an S3 server, a Ray head with two nodes, a server and a dispatcher."""

    def __init__(self, stack: ExitStack) -> None:
        self.folder = stack.enter_context(temporary_folder())
        self.postgres = stack.enter_context(private_postgres(self.folder / "postgres"))
        self.s3 = stack.enter_context(private_s3())
        env = {**self.s3.settings, **WITH_POISONED, "TMPDIR": str(self.folder)}
        self.ray = stack.enter_context(RayNodes(self.folder / "ray", env, cpus=NODE_CPUS))
        self.ray.add("node 1", "node 2")
        self.scrivano = stack.enter_context(Scrivano(self.folder, self.postgres.url, self.s3.settings, self.ray))
        server = self.scrivano.server("server")
        self.start_dispatcher("first")
        self.http = httpx2.Client(base_url=str(server.wait_for("listening")["url"]), timeout=60)
        stack.callback(self.http.close)

    def start_dispatcher(self, name: str, *command: str) -> Program:
        """`command`: a Python module, in place of the real one."""
        env = {**self.scrivano.of_dispatchers, **ENGINES, **WITH_POISONED, "DISPATCHER_LISTEN": "127.0.0.1:0"}
        self.dispatcher = self.scrivano.start(name, command or ("scrivano", "dispatcher"), env)
        self.dispatcher.wait_for("dispatching")
        self.probes = str(self.dispatcher.wait_for("answering probes")["url"])
        return self.dispatcher

    def health(self) -> httpx2.Response:
        """Of the dispatcher."""
        return httpx2.get(f"{self.probes}/health", timeout=60)

    def figures(self) -> dict[tuple[str, ...], float]:
        """Metrics of the dispatcher, by name and labels."""
        families = text_string_to_metric_families(httpx2.get(f"{self.probes}/metrics", timeout=60).text)
        return {(one.name, *one.labels.values()): one.value for family in families for one in family.samples}

    def submit(self, path: Path, **fields: str) -> str:
        answer = self.http.post("/jobs", files={"audio": (path.name, path.read_bytes())}, data=fields)
        assert answer.status_code == 202, answer.text
        job_id: str = answer.json()["job_id"]
        return job_id

    def job(self, job_id: str) -> dict[str, Any]:
        body: dict[str, Any] = self.http.get(f"/jobs/{job_id}").json()
        return body

    def ended(self, job_id: str) -> dict[str, Any]:
        return until(lambda: self._if_ended(job_id), WAIT_S)

    def done(self, job_id: str) -> dict[str, Any]:
        job = self.ended(job_id)
        assert job["status"] == "done", job
        return job

    def _if_ended(self, job_id: str) -> dict[str, Any]:
        job = self.job(job_id)  # without a status, while there is no database
        return job if job.get("status") in ("done", "failed", "cancelled") else {}

    def engines(self) -> list[dict[str, Any]]:
        engines: list[dict[str, Any]] = self.http.get("/model/status").json().get("engines") or []
        return engines

    def ready(self) -> list[str]:
        """The nodes with an engine that is ready."""
        return [engine["node"] for engine in self.engines() if engine["state"] == "ready"]

    def name_of(self, address: str) -> str:
        """Of a node."""
        return list(self.ray.nodes)[int(address.rpartition(".")[2]) - 1]

    def running_on(self, name: str) -> list[str]:
        """The programs of Scrivano on a node."""
        commands = map(_command, tree(self.ray.nodes[name].process.pid))
        return [command for command in commands if "scrivano." in command]

    def objects(self) -> list[str]:
        """What is stored in the bucket."""
        signed = {"Authorization": "AWS4-HMAC-SHA256 Credential=demo/20300101/us-east-1/s3/aws4_request"}
        url = f"{self.s3.settings['AWS_ENDPOINT_URL']}/recordings?list-type=2"
        text = httpx2.get(url, headers=signed, timeout=60).text
        return [part.partition("</Key>")[0] for part in text.split("<Key>")[1:]]


@pytest.fixture(scope="module")
def system() -> Iterator[System]:
    with ExitStack() as stack:
        yield System(stack)


@pytest.fixture(scope="module")
def expected(system: System, recording: Path) -> dict[str, Any]:
    """The job of the recording, undisturbed."""
    return system.done(system.submit(recording))


def _command(pid: int) -> str:
    with suppress(OSError):  # it has just ended
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    return ""


def spoken(job: dict[str, Any]) -> list[tuple[str, float, float]]:
    return [(segment["text"], segment["start"], segment["end"]) for segment in job["segments"]]


def check_done(system: System, jobs: list[str], expected: dict[str, Any]) -> None:
    for job_id in jobs:
        assert spoken(system.done(job_id)) == spoken(expected)


def work_on_both_nodes(system: System, recording: Path) -> list[str]:
    """Jobs, some of them unfinished, and an engine on each of two nodes: the second one starts when chunks wait."""
    jobs: list[str] = []

    def both_ready() -> bool:
        unfinished = [job_id for job_id in jobs[-4:] if system.job(job_id)["status"] in ("queued", "running")]
        if len(unfinished) < 4:
            jobs.append(system.submit(recording))
        return len(system.ready()) == 2

    until(both_ready, WAIT_S)
    return [*jobs, *(system.submit(recording) for _ in range(2))]


def test_jobs_are_done_on_nodes_and_leave_no_audio(system: System, recording: Path, expected: dict[str, Any]) -> None:
    jobs = [system.submit(recording, speakers=speakers) for speakers in ("false", "true")]

    check_done(system, jobs, expected)

    speaking = system.job(jobs[1])
    assert speaking["speakers"]
    assert not speaking.get("warnings")
    assert set(system.ready()) <= {"127.0.0.2", "127.0.0.3"}
    until(lambda: system.objects() == [], WAIT_S)


def test_a_dispatcher_says_whether_it_works_and_what_it_has_done(system: System, expected: dict[str, Any]) -> None:
    assert system.health().json()["checks"] == {"runner": "ok", "store": "ok", "stopping": "ok"}
    until(lambda: system.figures()["scrivano_open_jobs",] == 0, WAIT_S)
    until(lambda: system.figures()["scrivano_engines", "nano", "ready"] == len(system.ready()) > 0, WAIT_S)
    figures = system.figures()

    assert figures["scrivano_engine_chunks_total", "nano"] >= 2
    assert figures["scrivano_engine_audio_seconds_total", "nano"] > 0.5 * expected["duration_secs"]
    assert figures["scrivano_engine_batch_fill_ratio_count", "nano"] >= 1
    assert figures["scrivano_stage_seconds_count", "prepare"] >= 1
    assert figures["scrivano_waiting_chunks", "nano"] == 0
    assert figures["scrivano_runner_up",] == 1
    assert sum(value for key, value in figures.items() if key[0] == "scrivano_jobs_ended_total") >= 1
    refused = httpx2.post(f"{system.probes}/jobs", timeout=60)
    assert (refused.status_code, "/metrics" in refused.json()["error"]) == (404, True)


def test_a_dispatcher_without_its_database_is_not_healthy_but_lives(
    system: System, recording: Path, expected: dict[str, Any]
) -> None:
    job_id = system.submit(recording)
    until(lambda: system.job(job_id)["status"] == "running", WAIT_S)

    system.postgres.kill()
    try:
        answer = system.health()
        lives = httpx2.get(f"{system.probes}/livez", timeout=60)
    finally:
        system.postgres.start()

    assert (answer.status_code, "PostgreSQL" in answer.json()["checks"]["store"]) == (503, True)
    assert lives.status_code == 200
    until(lambda: system.health().status_code == 200, WAIT_S)
    check_done(system, [job_id], expected)


def test_a_cancelled_job_ends_at_once_and_the_next_one_is_done(
    system: System, recording: Path, expected: dict[str, Any], tmp_path: Path
) -> None:
    long = repeated(tmp_path / "long.wav", seconds=600)  # so that it is not done before it is cancelled
    jobs = [system.submit(path) for path in (long, recording)]
    until(lambda: system.job(jobs[0])["status"] == "running", WAIT_S)

    answer = system.http.delete(f"/jobs/{jobs[0]}")

    assert answer.json()["status"] == "cancelled", answer.text
    check_done(system, jobs[1:], expected)
    until(lambda: system.objects() == [], WAIT_S)


def test_an_unload_ends_the_actors_and_their_engines(system: System, recording: Path, expected: dict[str, Any]) -> None:
    check_done(system, [system.submit(recording)], expected)
    assert system.engines()

    system.http.post("/model/unload")

    until(lambda: not system.engines(), WAIT_S)
    engine = "scrivano.engines.worker"
    until(lambda: not any(engine in one for name in ("node 1", "node 2") for one in system.running_on(name)), WAIT_S)
    assert system.http.get("/model/status").json()["state"] == "unloaded"
    system.http.post("/model/load")  # jobs that wait would have to wait for UNLOAD_HOLD_SECS
    until(lambda: len(system.ready()) == 1, WAIT_S)


def test_another_dispatcher_takes_over(system: System, recording: Path, expected: dict[str, Any]) -> None:
    jobs = [system.submit(recording) for _ in range(3)]
    until(lambda: "running" in {system.job(job_id)["status"] for job_id in jobs}, WAIT_S)

    system.dispatcher.process.kill()
    system.start_dispatcher("second")

    check_done(system, jobs, expected)


def test_jobs_go_on_when_the_bucket_answers_again(system: System, recording: Path, expected: dict[str, Any]) -> None:
    jobs = [system.submit(recording) for _ in range(3)]
    until(lambda: any(system.job(job_id)["progress"] > 0 for job_id in jobs), WAIT_S)

    with system.s3.program.frozen():
        time.sleep(SILENT_S)
        assert system.health().status_code == 200

    check_done(system, jobs, expected)
    until(lambda: system.objects() == [], WAIT_S)


def test_a_chunk_that_ends_an_engine_on_each_of_two_nodes_fails_its_job_alone(
    system: System, recording: Path, expected: dict[str, Any], tmp_path: Path
) -> None:
    clip = repeated(tmp_path / "clip.wav", seconds=8)
    system.dispatcher.stop()
    dispatcher = system.start_dispatcher("poisoned", "poisoned_dispatcher")
    try:
        good = work_on_both_nodes(system, recording)
        bad = system.submit(clip, language="la")
        good.append(system.submit(recording))

        job = system.ended(bad)

        assert (job["status"], job["error_code"]) == ("failed", "engine_crashed"), job
        assert "SIGSEGV" in job["error"]
        check_done(system, good, expected)
        ends = [line for line in dispatcher.logged() if bad in _ids(line.get("job_ids"))]
        assert len({line["node"] for line in ends}) == len(ends) == 2, ends
        assert system.figures()["scrivano_engine_losses_total", "nano", "crashed"] == 2
        system.http.delete(f"/jobs/{bad}?purge=true")  # the recording of a job that failed is kept
        until(lambda: system.objects() == [], WAIT_S)
    finally:
        dispatcher.stop()
        system.start_dispatcher("after the poisoned one")


def _ids(found: object) -> list[str]:
    return found if isinstance(found, list) else []


def test_jobs_of_a_frozen_node_go_on_elsewhere(system: System, recording: Path, expected: dict[str, Any]) -> None:
    jobs = work_on_both_nodes(system, recording)
    address = system.ready()[0]
    name = system.name_of(address)

    with system.ray.frozen(name):
        until(lambda: address not in system.ready(), AFTER_A_FREEZE_S)
        check_done(system, jobs, expected)

    system.ray.kill(name)
    system.ray.add("another node")


def test_jobs_of_a_killed_node_go_on_elsewhere(system: System, recording: Path, expected: dict[str, Any]) -> None:
    jobs = work_on_both_nodes(system, recording)
    address = system.ready()[0]

    system.ray.kill(system.name_of(address))

    until(lambda: address not in system.ready(), AFTER_A_KILL_S)
    check_done(system, jobs, expected)
    until(lambda: system.objects() == [], WAIT_S)
