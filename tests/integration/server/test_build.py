"""The server in this process: what needs a hand inside it, or its clock."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from built import built
from fastapi import FastAPI
from served import DATA
from starlette.testclient import TestClient

from scrivano.running.runner import Runner
from scrivano.telemetry.events import MediaProcessLost, RequestEnded
from scrivano.telemetry.metrics import MetricGauge, Metrics


@pytest.fixture
def app(tmp_path: Path) -> Iterator[FastAPI]:
    with built(data_dir=tmp_path) as app:
        yield app


def test_a_worker_that_is_gone_for_good_is_said_so(app: FastAPI, tmp_path: Path) -> None:
    runner: Runner = app.state.services.runner
    with TestClient(app) as client:
        runner.stop()

        answer = client.post("/jobs", files={"audio": ("a.flac", (DATA / "en-exact-0.flac").read_bytes())})

        assert (answer.status_code, answer.json()) == (500, {"error": "worker channel closed"})
        assert list((tmp_path / "uploads").iterdir()) == []


def test_a_server_whose_runner_has_ended_does_not_live(app: FastAPI) -> None:
    with TestClient(app) as client:
        assert client.get("/livez").json() == {"status": "ok", "checks": {"loop": "ok", "runner": "ok"}}
        app.state.services.runner.stop()

        for probe in ("/livez", "/readyz"):
            answer = client.get(probe)
            assert answer.status_code == 503
            assert answer.json()["error"] == answer.json()["checks"]["runner"]


def test_a_server_that_stops_is_not_ready_and_lives(app: FastAPI) -> None:
    with TestClient(app) as client:
        app.state.services.wake_ups.stop()

        assert client.get("/readyz").json()["checks"]["stopping"] == "the server is stopping"
        assert client.get("/readyz").status_code == 503
        assert client.get("/livez").status_code == 200


def test_servers_in_one_process_count_for_themselves(tmp_path: Path) -> None:
    with ExitStack() as cleanup:
        apps = []
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
            apps.append(cleanup.enter_context(built(data_dir=tmp_path / name)))
        apps[0].state.services.emit(MediaProcessLost("a"))

        counts = [one.state.services.metrics.registry.get_sample_value("scrivano_media_crashes_total") for one in apps]

    assert counts == [1, 0]


def test_a_figure_that_cannot_be_read_hides_no_other() -> None:
    metrics = Metrics()
    metrics.add([MetricGauge("scrivano_broken", "", [], lambda: [((), 1 / 0)])])

    body, _ = metrics.render("")

    assert b"scrivano_build_info" in body


def test_an_observation_costs_next_to_nothing() -> None:
    metrics, count = Metrics(), 2000
    seen = RequestEnded("GET", "/jobs/{job_id}", 200, 0.01, stream=False)
    began = time.process_time()
    for _ in range(count):
        metrics.emit(seen)

    assert (time.process_time() - began) / count < 0.0001


def test_a_fault_of_the_server_is_an_error_in_json_too(app: FastAPI) -> None:
    @app.get("/broken")
    def broken() -> None:
        raise ZeroDivisionError

    with TestClient(app, raise_server_exceptions=False) as client:
        answer = client.get("/broken")

    assert (answer.status_code, set(answer.json())) == (500, {"error"})


def test_an_upload_over_the_limit_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    with built(data_dir=tmp_path, max_upload_bytes=1000) as app, TestClient(app) as client:
        answer = client.post("/jobs", files={"audio": ("a.wav", b"\0" * 3_000_000)})

        assert (answer.status_code, "MAX_UPLOAD_BYTES" in answer.json()["error"]) == (413, True)
        assert list((tmp_path / "uploads").iterdir()) == []
