"""The built server in this process: what a test can only do with access to its parts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from built import built
from fastapi import FastAPI
from served import DATA
from starlette.testclient import TestClient

from scrivano.api.routing import Router
from scrivano.running.runner import Runner
from scrivano.telemetry.events import MediaProcessLost


@pytest.fixture
def app(tmp_path: Path) -> Iterator[FastAPI]:
    with built(data_dir=tmp_path) as app:
        yield app


def test_without_a_runner_submissions_are_refused(app: FastAPI, tmp_path: Path) -> None:
    runner: Runner = app.state.services.executor
    with TestClient(app) as client:
        runner.stop()

        response = client.post("/jobs", files={"audio": ("a.flac", (DATA / "en-exact-0.flac").read_bytes())})

        assert (response.status_code, response.json()) == (500, {"error": "worker channel closed"})
        assert list((tmp_path / "uploads").iterdir()) == []


def test_without_a_runner_the_server_is_not_alive(app: FastAPI) -> None:
    with TestClient(app) as client:
        assert client.get("/livez").json() == {"status": "ok", "checks": {"loop": "ok", "runner": "ok"}}
        app.state.services.executor.stop()

        for probe in ("/livez", "/readyz"):
            response = client.get(probe)
            assert response.status_code == 503
            assert response.json()["error"] == response.json()["checks"]["runner"]


def test_a_server_that_is_stopping_is_alive_but_not_ready(app: FastAPI) -> None:
    with TestClient(app) as client:
        app.state.services.wake_ups.stop()

        assert client.get("/readyz").json()["checks"]["stopping"] == "the server is stopping"
        assert client.get("/readyz").status_code == 503
        assert client.get("/livez").status_code == 200


def test_servers_in_one_process_are_counted_separately(tmp_path: Path) -> None:
    with ExitStack() as cleanup:
        apps = []
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
            apps.append(cleanup.enter_context(built(data_dir=tmp_path / name)))
        apps[0].state.services.metrics.emit(MediaProcessLost("a"))

        counts = [one.state.services.metrics.registry.get_sample_value("scrivano_media_crashes_total") for one in apps]

    assert counts == [1, 0]


def test_an_internal_error_is_an_error_in_json_too(app: FastAPI) -> None:
    @app.get("/broken")
    @Router(tag="test").public()
    def broken() -> None:
        raise ZeroDivisionError

    with TestClient(app, raise_server_exceptions=False) as client:
        response = client.get("/broken")

    assert (response.status_code, set(response.json())) == (500, {"error"})


def test_an_upload_over_the_limit_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    with built(data_dir=tmp_path, max_upload_bytes=1000) as app, TestClient(app) as client:
        response = client.post("/jobs", files={"audio": ("a.wav", b"\0" * 3_000_000)})

        assert (response.status_code, "MAX_UPLOAD_BYTES" in response.json()["error"]) == (413, True)
        assert list((tmp_path / "uploads").iterdir()) == []
