"""Synchronous calls that take longer than proxies wait: the first bytes come early."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from served import DATA, Served, start, until

SCRIPT = Path(__file__).parent.parent / "children" / "server.py"
CLIP = "en-exact-0.flac"

CALLS: list[tuple[str, str, dict[str, str], dict[str, str]]] = [
    ("/v1/audio/transcriptions", "file", {}, {"model": "whisper-1"}),
    ("/v1/audio/translations", "file", {}, {"model": "whisper-1", "response_format": "verbose_json"}),
    ("/inference", "file", {}, {}),
    ("/asr", "audio_file", {"output": "json"}, {}),
]


@contextmanager
def hanging(folder: Path, what: str) -> Iterator[Served]:
    """A server whose engine hangs when it is to load the model, or to decode."""
    memory = folder / "memory"
    memory.write_text("8000")
    command = [sys.executable, str(SCRIPT), str(folder / "data"), str(memory), json.dumps({what: ["hang"]})]
    server = Served(start(folder / "data", command, SYNC_KEEPALIVE_SECS="0.5"))
    try:
        yield server
    finally:
        server.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with hanging(tmp_path_factory.mktemp("long"), "decode") as server:
        yield server


@pytest.mark.parametrize(("path", "field", "query", "data"), CALLS)
def test_the_head_is_sent_while_the_job_is_computed_and_a_later_error_is_in_the_body(
    server: Served, path: str, field: str, query: dict[str, str], data: dict[str, str]
) -> None:
    files = {field: (CLIP, (DATA / CLIP).read_bytes())}
    with server.http.stream("POST", path, params=query, files=files, data=data) as response:
        assert response.status_code == 200
        server.http.delete(f"/jobs/{response.headers['X-Job-Id']}")
        body = response.read()

    assert body.startswith(b" ")
    told: Any = json.loads(body)["error"]
    assert "cancelled" in (told["message"] if path.startswith("/v1") else told)


def test_the_head_is_sent_before_a_proxy_gives_up_although_the_model_still_loads(tmp_path: Path) -> None:
    files = {"file": (CLIP, (DATA / CLIP).read_bytes())}
    with hanging(tmp_path, "load") as server:
        before = time.monotonic()
        with server.http.stream("POST", "/inference", files=files, timeout=60) as response:
            assert response.status_code == 200
            assert time.monotonic() - before < 55
            server.http.delete(f"/jobs/{response.headers['X-Job-Id']}")
            body = response.read()

    assert "cancelled" in json.loads(body)["error"]


def test_a_recording_that_cannot_be_read_has_its_status(server: Served) -> None:
    answer = server.http.post("/v1/audio/transcriptions", files={"file": ("a.mp3", b"not audio" * 99)})

    assert answer.status_code == 400


def test_subtitles_are_not_begun_early(server: Served) -> None:
    def cancelled() -> bool:
        jobs = server.http.get("/jobs", params={"status": "running"}).json()["jobs"]
        return any(server.http.delete(f"/jobs/{job['id']}").is_success for job in jobs)

    def cancel_later() -> None:
        time.sleep(2)
        until(cancelled)

    threading.Thread(target=cancel_later).start()
    files = {"file": (CLIP, (DATA / CLIP).read_bytes())}
    answer = server.http.post("/v1/audio/transcriptions", files=files, data={"response_format": "srt"})

    assert answer.status_code == 410
