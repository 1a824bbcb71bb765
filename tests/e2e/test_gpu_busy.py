"""`scrivano serve` on a GPU whose memory other programs hold. NVML is a library of ours, all else is as delivered."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from served import DATA, Served, served, until
from shared_gpu import leave_free, scripted

COMPILER = shutil.which("gcc") or shutil.which("cc")
SOURCE = Path(__file__).parent.parent / "children" / "nvml.c"
FREE_MB = 40

pytestmark = [pytest.mark.slow, pytest.mark.skipif(COMPILER is None, reason="no C compiler")]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the library that reports a GPU."""
    folder = tmp_path_factory.mktemp("nvml")
    assert COMPILER is not None
    subprocess.run([COMPILER, "-shared", "-fPIC", "-o", folder / "libnvidia-ml.so.1", SOURCE], check=True)
    return folder


@pytest.fixture(scope="module")
def server(library: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("busy")
    free = folder / "free_mb"
    free.write_text(str(FREE_MB))
    environment = {"LD_LIBRARY_PATH": str(library), "NVML_FREE_MB": str(free)}
    settings = {"GPU_WAIT_SECS": "1", "GPU_POLL_INTERVAL_SECS": "1", "DEVICE": "auto"}
    with served(folder / "data", **environment, **settings) as server:
        yield server


def recording(field: str, name: str) -> dict[str, tuple[str, bytes]]:
    return {field: (name, (DATA / name).read_bytes())}


def assert_says_why(server: Served, message: str) -> None:
    until(lambda: server.state() == "waiting_for_gpu")  # For a moment, at each poll, it is `loading`.
    status = server.http.get("/model/status").json()
    assert (status["vram_free_mb"], status["vram_total_mb"]) == (FREE_MB, 8000)
    found = re.search(r"it needs (\d+) MB, and (\d+) MB are free; the job stays queued", message)
    assert found is not None, message
    assert [int(number) for number in found.groups()] == [status["vram_needed_mb"], FREE_MB]


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/v1/audio/transcriptions", "file"),
        ("/inference", "file"),
        ("/asr", "audio_file"),
        ("/detect-language", "audio_file"),
    ],
)
def test_a_call_that_waits_for_its_transcript_learns_that_the_gpu_is_busy(
    server: Served, path: str, field: str
) -> None:
    answer = server.http.post(path, files=recording(field, "en-exact-0.flac"))

    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0
    assert server.job(answer.headers["X-Job-Id"])["status"] == "queued"
    assert_says_why(server, answer.headers["X-Error"] if field == "audio_file" else answer.text)


def test_the_same_call_gets_the_same_job(server: Served) -> None:
    form = recording("file", "en-exact-2.flac")

    answers = [server.http.post("/v1/audio/transcriptions", files=form) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [503, 503]
    assert len({answer.headers["X-Job-Id"] for answer in answers}) == 1


def test_a_stream_has_the_error_as_its_last_event(server: Served) -> None:
    form = recording("file", "en-exact-4.flac")
    with server.http.stream("POST", "/v1/audio/transcriptions", files=form, data={"stream": "true"}) as stream:
        text = "".join(stream.iter_text())

    assert "event: error" in text
    assert_says_why(server, text)


def test_a_job_says_that_it_waits_for_the_gpu(server: Served) -> None:
    server.http.post("/model/load")
    until(lambda: server.state() == "waiting_for_gpu")
    answer = server.http.post("/jobs", files=recording("audio", "en-exact-6.flac"), data={"queue": "true"})
    with server.http.stream("GET", f"/jobs/{answer.json()['job_id']}/stream") as stream:
        waiting = next(line for line in stream.iter_lines() if line.startswith("data: ") and "waiting_for_gpu" in line)

    assert json.loads(waiting.partition(": ")[2])["type"] == "waiting_for"


def test_its_job_ends_once_there_is_memory(tmp_path: Path) -> None:
    with scripted(tmp_path, free_mb=512, settings={"GPU_WAIT_SECS": "1"}) as (server, memory):
        form = recording("file", "en-clean-short-00.flac")
        refused = server.http.post("/v1/audio/transcriptions", files=form)
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "model_lacks_memory")

        leave_free(memory, 6000)

        job_id = refused.headers["X-Job-Id"]
        assert server.ended(job_id)["status"] == "done"
        assert server.http.post("/v1/audio/transcriptions", files=form).headers["X-Job-Id"] == job_id
