"""Two real models behind one server: the bundled one, and a copy of it under another name."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from media_files import repeated
from openai import NotFoundError, OpenAI
from served import CATALOG, DATA, Served, served, text_of, until

from scrivano.engines.catalog import NANO_FOLDER

CLIP = "en-exact-0.flac"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("models") / "mine"
    shutil.copytree(NANO_FOLDER, folder, ignore=shutil.ignore_patterns("recording*"))
    env = {"WHISPER_MODEL": "", "WHISPER_MODEL_PATH": str(folder), "MODELS": "nano", "KEEP_ALIVE": "mine=0,nano=0"}
    with served(tmp_path_factory.mktemp("data"), **env) as running:
        yield running


def states(server: Served) -> dict[str, str]:
    return {one["model"]: one["state"] for one in server.http.get("/model/status").json()["models"]}


def test_a_job_loads_the_model_that_it_names_and_no_other(server: Served) -> None:
    refused = server.http.post("/jobs", files={"audio": (CLIP, (DATA / CLIP).read_bytes())}, data={"model": "nano"})
    assert (refused.status_code, refused.json()["state"]) == (503, "unloaded")

    job = server.ended(server.submit(CLIP, queue="true", model="nano"))

    assert (job["status"], job["model"]) == ("done", "nano")
    assert text_of(job) == CATALOG[CLIP]["text"]
    assert states(server) == {"mine": "unloaded", "nano": "ready"}
    assert server.state() == "unloaded"


def test_the_command_line_names_them(server: Served) -> None:
    command = [sys.executable, "-m", "scrivano", "transcribe", str(DATA / CLIP), "--server", server.url, "--model"]

    done = subprocess.run([*command, "nano"], capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout.split()) == (0, CATALOG[CLIP]["text"].split()), done.stderr
    assert server.http.get("/jobs").json()["jobs"][0]["model"] == "nano"

    other = subprocess.run([*command, "tiny"], capture_output=True, text=True, timeout=120, check=False)
    assert (other.returncode, "serves the model mine, not tiny" in other.stderr) == (3, True)


def test_a_watched_folder_names_one_of_them(server: Served, tmp_path: Path) -> None:
    shutil.copy(DATA / CLIP, tmp_path)
    command = [sys.executable, "-m", "scrivano", "watch", str(tmp_path), "--server", server.url, "--settle", "0"]

    done = subprocess.run([*command, "--once", "--model", "nano"], capture_output=True, timeout=120, check=False)

    assert (done.returncode, server.http.get("/jobs").json()["jobs"][0]["model"]) == (0, "nano"), done.stderr
    assert (tmp_path / CLIP).with_suffix(".txt").read_text().split() == CATALOG[CLIP]["text"].split()


def test_both_work_side_by_side_each_in_a_process_of_its_own(server: Served) -> None:
    jobs = [server.submit(CLIP, queue="true", **named) for named in ({}, {"model": "nano"})]

    usual, other = [server.ended(job_id) for job_id in jobs]

    assert text_of(usual) == text_of(other) == CATALOG[CLIP]["text"]
    assert "model" not in usual
    assert states(server) == {"mine": "ready", "nano": "ready"}
    assert len(server.children("engine")) == 2


def test_openai_clients_name_them(server: Served) -> None:
    client = OpenAI(base_url=f"{server.url}/v1", api_key="unused", max_retries=0)
    assert [model.id for model in client.models.list()][:3] == ["mine", "nano", "whisper-1"]
    assert client.models.retrieve("nano").id == "nano"

    with (DATA / CLIP).open("rb") as audio:
        answer = client.audio.transcriptions.create(file=audio, model="nano", temperature=0)
    assert answer.text == CATALOG[CLIP]["text"]
    with (DATA / CLIP).open("rb") as audio, pytest.raises(NotFoundError, match="this server has 'mine' and 'nano'"):
        client.audio.transcriptions.create(file=audio, model="small")


def test_one_is_loaded_and_unloaded_by_its_name(server: Served) -> None:
    server.http.post("/model/load?model=nano")
    until(lambda: states(server)["nano"] == "ready")
    assert server.http.post("/model/load?model=nano").json() == {"status": "already_ready"}

    assert server.http.post("/model/unload?model=nano").json() == {"status": "unload_requested"}

    until(lambda: states(server)["nano"] == "unloaded")
    assert server.http.post("/model/load?model=small").status_code == 404


def test_whoever_waits_for_a_model_is_told_why(tmp_path: Path) -> None:
    env = {"WHISPER_MODEL": "someone/nothing", "HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path / "hf")}
    with served(tmp_path / "data", **env) as server:
        job_id = server.submit("en-exact-0.flac", queue="true")
        waiting = until(lambda: server.job(job_id).get("waiting_for", {}).get("last_error") and server.job(job_id))
        audio = {"audio": (DATA / "en-exact-0.flac").read_bytes()}
        refused = until(lambda: (answer := server.http.post("/jobs", files=audio).json()).get("last_error") and answer)

    assert waiting["status"] == "queued"
    assert waiting["waiting_for"]["model"] == "someone/nothing"
    for told in (waiting["waiting_for"]["last_error"], refused["last_error"]):
        assert "http://127.0.0.1:9 cannot be reached" in told
    assert refused["error"] == "model_not_ready"


def test_after_an_unload_a_job_says_how_long_it_leaves_the_memory_to_others(tmp_path: Path) -> None:
    long = repeated(tmp_path / "long.wav", seconds=600)
    with served(tmp_path / "data", UNLOAD_HOLD_SECS="10") as server:
        server.load()
        job_id = server.http.post("/jobs", files={"audio": long.read_bytes()}).json()["job_id"]
        until(lambda: server.job(job_id)["progress"])
        server.http.post("/model/unload")
        waiting = until(lambda: dict(server.job(job_id).get("waiting_for", {})))
        progress = server.job(job_id)["progress"]

        assert waiting["state"] == "unloaded"
        assert 0 < waiting["retry_in_secs"] <= 10
        assert "last_error" not in waiting
        until(lambda: server.job(job_id)["progress"] > progress)
        assert "waiting_for" not in server.job(job_id)
        server.http.delete(f"/jobs/{job_id}")
