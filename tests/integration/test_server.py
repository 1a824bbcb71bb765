"""The server in this process: what needs a hand inside it, or its clock."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from fastapi import FastAPI
from served import DATA
from starlette.testclient import TestClient

from scrivano.config import Settings
from scrivano.gpu import GpuMemory
from scrivano.runner import Runner
from scrivano.serve import Children, build


class NoGpu:
    def read(self, index: int) -> GpuMemory | None:
        return None

    def by_process(self, index: int) -> dict[int, int]:
        return {}

    def host_free_mb(self) -> int | None:
        return None

    def close(self) -> None:
        pass


@pytest.fixture
def app(tmp_path: Path) -> Iterator[FastAPI]:
    settings = Settings.load({"data_dir": tmp_path, "whisper_model": "nano"}, environ={})
    with ExitStack() as cleanup:
        yield build(settings, Children(), NoGpu(), cleanup)


def test_a_worker_that_is_gone_for_good_is_said_so(app: FastAPI, tmp_path: Path) -> None:
    runner: Runner = app.state.services.runner
    with TestClient(app) as client:
        runner.stop()

        answer = client.post("/jobs", files={"audio": ("a.flac", (DATA / "en-exact-0.flac").read_bytes())})

        assert (answer.status_code, answer.json()) == (500, {"error": "worker channel closed"})
        assert list((tmp_path / "uploads").iterdir()) == []


def test_a_fault_of_the_server_is_an_error_in_json_too(app: FastAPI) -> None:
    @app.get("/broken")
    def broken() -> None:
        raise ZeroDivisionError

    with TestClient(app, raise_server_exceptions=False) as client:
        answer = client.get("/broken")

    assert (answer.status_code, set(answer.json())) == (500, {"error"})


def test_an_upload_over_the_limit_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    settings = Settings.load({"data_dir": tmp_path, "whisper_model": "nano", "max_upload_bytes": 1000}, environ={})
    with ExitStack() as cleanup, TestClient(build(settings, Children(), NoGpu(), cleanup)) as client:
        answer = client.post("/jobs", files={"audio": ("a.wav", b"\0" * 3_000_000)})

        assert (answer.status_code, "MAX_UPLOAD_BYTES" in answer.json()["error"]) == (413, True)
        assert list((tmp_path / "uploads").iterdir()) == []
