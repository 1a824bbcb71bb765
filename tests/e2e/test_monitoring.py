"""A running server as those see it who watch over it: metrics, probes, log."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families
from served import TIMEOUT_S, Served, served, start, until

DOCS = (Path(__file__).parents[2] / "docs" / "monitoring.md").read_text()


def scrape(server: Served) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    families = text_string_to_metric_families(server.http.get("/metrics").text)
    return {(one.name, frozenset(one.labels.items())): one.value for family in families for one in family.samples}


def test_a_job_shows_in_metrics_and_log(tmp_path: Path) -> None:
    with served(tmp_path, ADMISSION="queue") as server:
        server.load()
        with ExitStack() as until_seen:
            until_seen.enter_context(server.paused("engine"))
            answer = server.http.post(
                "/jobs?secret=hush",
                files={"audio": ("a", Path("src/scrivano/nano/recording.flac").read_bytes())},
                headers={"X-Request-Id": "the-first.one"},
            )
            job_id = answer.json()["job_id"]
            bad = server.http.get("/jobs/no-such-job", headers={"X-Request-Id": "x" * 129})
            with server.http.stream("GET", f"/jobs/{job_id}/stream") as stream:
                until(lambda: scrape(server)["scrivano_sse_streams", frozenset()] == 1)
                until_seen.close()
                for _ in stream.iter_lines():
                    pass
        until(lambda: scrape(server)["scrivano_sse_streams", frozenset()] == 0)
        figures = scrape(server)

        def figure(name: str, **labels: str) -> float:
            return figures.get((name, frozenset(labels.items())), 0.0)

        assert figure("scrivano_jobs_ended_total", outcome="done", error_code="") == 1
        assert figure("scrivano_jobs", state="queued", priority="normal") == 0
        assert figure("scrivano_model_state", model="nano", state="ready") == 1
        assert figure("scrivano_job_rtfx_count") == 1
        assert 90 < figure("scrivano_engine_audio_seconds_total", model="nano") < 117
        assert figure("scrivano_engine_busy_seconds_total", model="nano") > 0
        for stage in ("upload", "queued", "prepare", "decode", "assemble"):
            assert figure("scrivano_stage_seconds_count", stage=stage) >= 1, stage
        assert figure("scrivano_http_requests_total", method="POST", route="/jobs", status="202") == 1
        assert figure("scrivano_http_requests_total", method="GET", route="/jobs/{job_id}", status="404") == 1
        assert figure("scrivano_http_request_seconds_count", method="GET", route="/jobs/{job_id}/stream") == 0
        assert job_id not in str(figures)

    assert answer.headers["X-Request-Id"] == "the-first.one"
    assert re.fullmatch(r"[0-9a-f-]{36}", bad.headers["X-Request-Id"])
    of_request = [line for line in server.log if line.get("request_id") == "the-first.one"]
    assert [line["message"] for line in of_request] == ["job accepted", "request"]
    assert {line["job_id"] for line in of_request} == {job_id}
    assert (of_request[1]["route"], of_request[1]["status"]) == ("/jobs", 202)
    assert {"job running", "job done"} <= {line["message"] for line in server.log if line.get("job_id") == job_id}
    assert "hush" not in str(server.log)
    assert not [line for line in server.log if line.get("route") == "/metrics"]


def documented(page: str) -> set[str]:
    return set(re.findall(r"^\| `((?:scrivano|process)_\w+)`", page, re.MULTILINE))


def exposed(server: Served) -> Mapping[str, str]:
    """Each metric that the server has, by the name that is documented."""
    text = server.http.get("/metrics").text
    return dict(re.findall(r"^# TYPE (\w+(?<!_created)) (\w+)$", text, re.MULTILINE))


def test_every_metric_is_documented_and_no_other(tmp_path: Path) -> None:
    with served(tmp_path) as server:
        assert set(exposed(server)) == documented(DOCS)


def test_a_runner_that_ends_by_a_fault_ends_the_server(tmp_path: Path) -> None:
    """So that a supervisor starts another one. The fault: a memory reader that cannot read what it finds."""
    memory = tmp_path / "free_mb"
    memory.write_text("8000")
    script = Path(__file__).parent.parent / "children" / "server.py"
    server = Served(start(tmp_path / "data", [sys.executable, str(script), str(tmp_path / "data"), str(memory), "{}"]))
    try:
        assert server.http.get("/livez").status_code == 200
        memory.write_text("nonsense")
        server.http.post("/model/load")
        server.process.wait(TIMEOUT_S)
    finally:
        server.close()
    assert server.process.returncode == 70
    assert [line for line in server.log if line["level"] == "critical" and "exception" in line]


def test_a_data_folder_that_is_gone_makes_the_server_not_ready(tmp_path: Path) -> None:
    with served(tmp_path / "data", ACCESS_LOG="false") as server:
        assert server.http.get("/readyz").json()["status"] == "ok"
        shutil.rmtree(tmp_path / "data")

        answer = server.http.get("/readyz")

        assert answer.status_code == 503
        wrong = {name for name, said in answer.json()["checks"].items() if said != "ok"}
        assert wrong == {"disk", "store", "uploads"}
        assert "DATA_DIR" in answer.json()["error"]
        assert server.http.get("/livez").status_code == 200
    assert not [line for line in server.log if line["message"] == "request"]
