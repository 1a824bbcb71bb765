"""What a dispatcher answers, without its parts."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import cast

import pytest
from prometheus_client.parser import text_string_to_metric_families
from served import until
from starlette.testclient import TestClient

from scrivano.api.dispatcher_app import NO_ANSWER, DatabaseCheck, create_dispatcher_app
from scrivano.running.executor import Executor
from scrivano.store.database import Database
from scrivano.telemetry.events import BatchDecoded
from scrivano.telemetry.metrics import Metrics


@dataclass
class Parts:
    """A runner and a database, as far as probes see them. `hangs`: the database answers when it is set."""

    alive: bool = True
    stuck: bool = False
    said: str | None = None
    hangs: threading.Event | None = None
    stopping: bool = False
    metrics: Metrics = field(default_factory=Metrics)
    asked: int = 0

    def fault(self) -> str | None:
        self.asked += 1
        if self.hangs is not None:
            self.hangs.wait()
        return self.said


def client(parts: Parts) -> TestClient:
    app = create_dispatcher_app(parts.metrics, cast("Executor", parts), cast("Database", parts), lambda: parts.stopping)
    return TestClient(app, raise_server_exceptions=False)


def test_a_dispatcher_that_works_is_healthy() -> None:
    http = client(Parts())

    assert http.get("/health").json() == {
        "status": "ok",
        "checks": {"runner": "ok", "store": "ok", "stopping": "ok"},
    }
    assert http.get("/livez").json() == {"status": "ok", "checks": {"runner": "ok"}}
    assert http.head("/health").status_code == 200


@pytest.mark.parametrize(
    ("parts", "check", "lives"),
    [
        (Parts(alive=False), "runner", False),
        (Parts(stuck=True), "runner", False),
        (Parts(said="PostgreSQL cannot be written to"), "store", True),
        (Parts(stopping=True, alive=False), "stopping", True),
    ],
    ids=["runner ended", "runner stuck", "database gone", "stopping"],
)
def test_what_is_wrong_is_said_and_only_what_a_restart_mends_asks_for_one(
    parts: Parts, check: str, lives: bool
) -> None:
    http = client(parts)

    answer = http.get("/health")

    assert answer.status_code == 503
    assert {name for name, said in answer.json()["checks"].items() if said != "ok"} == {check}
    assert answer.json()["error"] == answer.json()["checks"][check]
    assert http.get("/livez").status_code == (200 if lives else 503)


def test_a_database_that_hangs_is_asked_once_and_again_when_it_has_answered() -> None:
    parts = Parts(hangs=threading.Event())
    check = DatabaseCheck(cast("Database", parts), wait_s=0.01)

    assert check() == NO_ANSWER
    until(lambda: parts.asked == 1)
    assert check() == check() == NO_ANSWER
    assert parts.asked == 1

    assert parts.hangs is not None
    parts.hangs.set()
    until(lambda: check() == "ok")
    parts.said = "a standby"
    until(lambda: check() == "a standby")


def test_metrics_are_those_that_servers_have_and_count_what_was_decoded() -> None:
    parts = Parts()
    parts.metrics.emit(BatchDecoded("nano", ["a", "a", "b"], 4, 51.5, 2.0))

    answer = client(parts).get("/metrics")

    found = {
        (one.name, *one.labels.values()): one.value
        for family in text_string_to_metric_families(answer.text)
        for one in family.samples
    }
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert found["scrivano_engine_chunks_total", "nano"] == 3
    assert found["scrivano_engine_audio_seconds_total", "nano"] == 51.5
    assert found["scrivano_engine_batch_fill_ratio_count", "nano"] == 1


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/jobs", 404),
        ("GET", "/health/", 404),
        ("POST", "/jobs", 404),
        ("POST", "/health", 405),
        ("DELETE", "/metrics", 405),
    ],
)
def test_all_else_is_refused_with_what_exists(method: str, path: str, status: int) -> None:
    answer = client(Parts()).request(method, path, follow_redirects=False)

    assert answer.status_code == status
    for route in ("/health", "/livez", "/metrics"):
        assert route in answer.json()["error"]


def test_a_fault_is_an_error_in_json_too() -> None:
    parts = Parts()
    parts.fault = lambda: str(1 / 0)  # type: ignore[method-assign]

    answer = client(parts).get("/health")

    assert (answer.status_code, set(answer.json())) == (500, {"error"})
