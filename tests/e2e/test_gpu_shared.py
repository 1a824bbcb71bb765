"""A GPU that others use, through HTTP: a server whose memory reader and engine are scripted."""

from __future__ import annotations

import json
from pathlib import Path

from served import until
from shared_gpu import leave_free, scripted

FORM = {"audio": ("a.wav", b"anything")}


def test_a_load_waits_for_memory_that_others_hold(tmp_path: Path) -> None:
    with scripted(tmp_path, free_mb=512) as (server, memory):
        server.http.post("/model/load")
        until(lambda: server.state() == "waiting_for_gpu")

        status = server.http.get("/model/status").json()
        assert (status["vram_needed_mb"], status["vram_free_mb"]) == (3951, 512)
        assert 0 <= status["retry_in_secs"] <= 4
        assert (status["vram_used_mb"], status["vram_total_mb"]) == (7488, 8000)
        refused = server.http.post("/jobs", files=FORM)
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "4")
        assert refused.json() == {"error": "model_not_ready", "state": "waiting_for_gpu", "retry_after_secs": 4}
        health = server.http.get("/health").json()
        assert (health["gpu_name"], health["vram_total_mb"], health["model"]) == ("Scripted 8000", 8000, "large-v3")
        assert health["model_state"] == "waiting_for_gpu"
        assert server.children("engine") == []

        leave_free(memory, 6000)
        until(lambda: server.state() == "ready")


def test_an_engine_that_runs_out_of_memory_while_loading_waits_and_is_tried_again(tmp_path: Path) -> None:
    with scripted(tmp_path, free_mb=6000, load=["memory", "ok"]) as (server, _):
        server.http.post("/model/load")
        until(lambda: server.state() == "waiting_for_gpu")
        until(lambda: server.state() == "ready")


def test_a_submission_while_the_model_loads_is_told_to_come_back_in_ten_seconds(tmp_path: Path) -> None:
    with scripted(tmp_path, free_mb=6000, load=["hang"]) as (server, _):
        server.http.post("/model/load")
        until(lambda: server.state() == "loading")

        refused = server.http.post("/jobs", files=FORM)

        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "10")
        assert refused.json() == {"error": "model_not_ready", "state": "loading", "retry_after_secs": 10}


def test_unloading_ends_the_wait(tmp_path: Path) -> None:
    with scripted(tmp_path, free_mb=512) as (server, _):
        server.http.post("/model/load")
        until(lambda: server.state() == "waiting_for_gpu")

        server.http.post("/model/unload")

        until(lambda: server.state() == "unloaded")


def test_a_download_shows_in_the_models_state(tmp_path: Path) -> None:
    with scripted(tmp_path, free_mb=6000, load=["download"]) as (server, _):
        server.http.post("/model/load")

        download = until(lambda: server.http.get("/model/status").json().get("download"))

        assert download == {"done_bytes": 10, "total_bytes": 100}
        (tmp_path / "data" / "told").touch()
        until(lambda: server.state() == "ready")
        assert "download" not in server.http.get("/model/status").json()


def test_every_model_event_is_told_with_its_payload(tmp_path: Path) -> None:
    with scripted(tmp_path, free_mb=512) as (server, memory):
        with server.http.stream("GET", "/model/events") as stream:
            server.http.post("/model/load")
            lines = stream.iter_lines()
            heard: list[dict[str, object]] = []
            while len(heard) < 4:
                line = next(lines)
                if line.startswith("data: "):
                    heard.append(json.loads(line[6:]))
                if len(heard) == 2:
                    leave_free(memory, 6000)

        assert heard[0] == {"type": "model_loading"}
        assert heard[1].pop("retry_in_secs") in (3, 4)  # a busy machine may be a second late
        assert heard[1] == {"type": "model_waiting_for_gpu", "vram_needed_mb": 3951, "vram_free_mb": 512}
        assert heard[2] == {"type": "model_loading"}
        assert (heard[3]["type"], set(heard[3])) == ("model_ready", {"type", "loaded_at"})
