"""The commands as a person or a script runs them."""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from hub import REPOSITORY, hub
from served import CATALOG, DATA, Served, served, start, text_of, until, word_error_rate

import scrivano
from scrivano.engines.catalog import NANO_FOLDER
from scrivano.store.sqlite import SqliteDatabase

CLIP = "en-exact-0.flac"
BUNDLED = json.loads((Path(scrivano.__file__).parent / "nano" / "recording.json").read_text())


def run(*arguments: str, stdin: bytes = b"", **env: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "scrivano", *arguments],
        input=stdin,
        capture_output=True,
        timeout=120,
        env={**os.environ, "COLUMNS": "200", **env},
    )
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("cli"), IDLE_TIMEOUT_SECS="0") as server:
        server.load()
        yield server


# transcribe ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("format", "beginning"),
    [
        ("txt", CATALOG[CLIP]["text"].split(".")[0]),
        ("srt", "1\n00:00:0"),
        ("vtt", "WEBVTT\n"),
        ("tsv", "start\tend\ttext\n"),
    ],
)
def test_a_transcript_goes_to_standard_output(server: Served, format: str, beginning: str) -> None:
    done = run("transcribe", str(DATA / CLIP), "--server", server.url, "--format", format)

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(beginning)
    assert f"{CLIP}: 100 %" in done.stderr


def test_bounds_of_the_number_of_speakers_and_voices_reach_the_server(server: Served) -> None:
    wrong = run("transcribe", str(DATA / CLIP), "--server", server.url, "--min-speakers", "3", "--max-speakers", "2")
    right = run("transcribe", str(DATA / CLIP), "--server", server.url, "--max-speakers", "2", "--voices")

    assert wrong.returncode == 1
    assert "max_speakers" in wrong.stderr
    assert right.returncode == 0, right.stderr
    assert "warning: no enrolled voices were looked for, because this server keeps none" in right.stderr
    newest = server.http.get("/jobs").json()["jobs"][0]["id"]
    (version,) = server.http.get(f"/jobs/{newest}/versions").json()["versions"]
    assert (version["options"]["max_speakers"], version["options"]["voices"]) == (2, True)


def test_several_files_go_to_a_folder_and_a_bad_one_fails_alone(server: Served, tmp_path: Path) -> None:
    bad = tmp_path / "bad.mp3"
    bad.write_bytes(b"not a recording")
    names = [CLIP, "it-exact-0.flac"]

    done = run(
        "transcribe", str(DATA / names[0]), str(bad), str(DATA / names[1]),
        "--server", server.url, "--format", "json", "--output-dir", str(tmp_path / "out"),
    )  # fmt: skip

    assert done.returncode == 1
    assert "bad.mp3: failed: " in done.stderr
    for name in names:
        document = json.loads((tmp_path / "out" / name).with_suffix(".json").read_text())
        assert document["text"] == CATALOG[name]["text"]


def test_no_transcript_replaces_another_one(server: Served, tmp_path: Path) -> None:
    other = (tmp_path / CLIP).with_suffix(".wav")
    other.write_bytes(b"something else")
    into = ["--output-dir", str(tmp_path / "out")]

    done = run("transcribe", str(DATA / CLIP), str(other), "--server", server.url, *into)

    assert (done.returncode, "same name" in done.stderr) == (2, True)
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written_to_is_said_so_before_the_work(server: Served) -> None:
    done = run("transcribe", str(DATA / CLIP), "--server", server.url, "--output-dir", "/proc/nowhere")

    assert (done.returncode, "cannot write to /proc/nowhere" in done.stderr) == (2, True)
    assert "submitted" not in done.stderr


def test_a_folder_stands_for_its_recordings_and_each_text_has_its_name(server: Served, tmp_path: Path) -> None:
    for name in (CLIP, "it-exact-0.flac"):
        shutil.copy(DATA / name, tmp_path)
    (tmp_path / "notes.txt").write_text("no recording")
    (tmp_path / "empty").mkdir()

    done = run("transcribe", str(tmp_path), "--server", server.url.removeprefix("http://"))
    none = run("transcribe", str(tmp_path / "empty"), "--server", server.url)

    assert done.returncode == 0, done.stderr
    texts = {name: text.strip() for name, text in re.findall(r"==> (.+?) <==\n([^=]*)", done.stdout)}
    assert {name: " ".join(text.split()) for name, text in texts.items()} == {
        name: CATALOG[name]["text"] for name in (CLIP, "it-exact-0.flac")
    }
    assert (none.returncode, "no recordings in the folder" in none.stderr) == (2, True)


def test_a_transcript_is_replaced_only_by_force(server: Served, tmp_path: Path) -> None:
    present = tmp_path / "en-exact-0.srt"
    present.write_text("by hand")
    order = ["transcribe", str(DATA / CLIP), "--server", server.url, "--output-dir", str(tmp_path), "--format", "srt"]

    refused = run(*order)
    assert (refused.returncode, "use --force" in refused.stderr) == (2, True)
    assert present.read_text() == "by hand"
    assert "submitted" not in refused.stderr

    done = run(*order, "--force", "--profile", "bbc", "--prompt", "Parks.", "--hotwords", "Giovanni")
    assert done.returncode == 0, done.stderr
    assert f"wrote {present}" in done.stderr
    assert all(len(line) <= 37 for line in present.read_text().splitlines())


def test_standard_input_is_a_file_too(server: Served) -> None:
    done = run("transcribe", "-", "--language", "en", stdin=(DATA / CLIP).read_bytes(), SCRIVANO_SERVER=server.url)

    assert (done.returncode, " ".join(done.stdout.split())) == (0, CATALOG[CLIP]["text"])


def test_without_a_server_one_is_started_and_ended(tmp_path: Path) -> None:
    done = run("transcribe", str(DATA / CLIP), "--model", "nano", DATA_DIR=str(tmp_path), TMPDIR=str(tmp_path))

    assert (done.returncode, " ".join(done.stdout.split())) == (0, CATALOG[CLIP]["text"])
    assert list(tmp_path.glob("scrivano-*")) == []


def test_the_server_of_the_data_folder_is_found(server: Served) -> None:
    data_dir = next(line["data_dir"] for line in server.log if line["message"] == "listening")

    done = run("transcribe", str(DATA / CLIP), DATA_DIR=data_dir)

    assert done.returncode == 0
    job_id = done.stderr.split("submitted as job ")[1].split()[0]
    assert text_of(server.job(job_id)) == CATALOG[CLIP]["text"]


def test_a_model_may_be_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "my model"
    shutil.copytree(NANO_FOLDER, folder)

    done = run("transcribe", str(DATA / CLIP), "--model", str(folder), DATA_DIR=str(tmp_path / "data"))

    assert (done.returncode, " ".join(done.stdout.split())) == (0, CATALOG[CLIP]["text"])


def test_a_model_that_cannot_be_had_ends_the_call(tmp_path: Path) -> None:
    offline = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path), "DATA_DIR": str(tmp_path / "data")}

    done = run("transcribe", str(DATA / CLIP), "--model", "tiny", stdin=b"", **offline)

    assert done.returncode == 3
    assert "WHISPER_MODEL_PATH" in done.stderr


def test_a_server_open_to_others_warns(tmp_path: Path) -> None:
    with served(tmp_path, SCRIVANO_HOST="0.0.0.0") as server:
        assert [line for line in server.log if "without API keys" in line["message"]]


def test_exit_codes_tell_what_went_wrong(server: Served, tmp_path: Path) -> None:
    missing = run("transcribe", str(tmp_path / "nothing.wav"))
    assert (missing.returncode, "no such file" in missing.stderr) == (2, True)
    nobody = run("transcribe", str(DATA / CLIP), "--server", "http://127.0.0.1:9")
    assert (nobody.returncode, "no Scrivano server answers" in nobody.stderr) == (3, True)
    other_model = run("transcribe", str(DATA / CLIP), "--server", server.url, "--model", "large-v3")
    assert (other_model.returncode, "serves the model nano" in other_model.stderr) == (3, True)
    assert run("transcribe", str(DATA / CLIP), "--format", "docx").returncode == 2


# demo, doctor, models --------------------------------------------------------------------------------------------


def test_the_demo_transcribes_the_bundled_recording_and_leaves_nothing_running(tmp_path: Path) -> None:
    done = run("demo", TMPDIR=str(tmp_path))

    assert done.returncode == 0, done.stderr
    lines = [line.split("]  ", 1) for line in done.stdout.splitlines()]
    assert all(time.startswith("[00:0") for time, _ in lines)
    heard = " ".join(text for _, text in lines)
    assert "scrivano serve" in done.stderr, "what to do next"
    # 0.004 with exact arithmetic, and 0.068 on an AMD processor without VNNI, where products of int8 overflow.
    assert word_error_rate(BUNDLED["text"], heard) <= 0.1
    assert list(tmp_path.glob("scrivano-*")) == []


def test_the_doctor_checks_this_machine(tmp_path: Path) -> None:
    done = run("doctor", DATA_DIR=str(tmp_path / "data"), WHISPER_MODEL="nano")

    assert done.returncode == 0, done.stdout
    for check in (
        "Scrivano",
        "processor",
        "libraries",
        "GPU",
        "model",
        "data folder",
        "database",
        "recordings",
        "test",
    ):
        assert f"ok    {check}: " in done.stdout


@pytest.mark.slow
def test_the_doctor_measures_this_machine(tmp_path: Path) -> None:
    done = run("doctor", "--bench", "--model", "nano", DATA_DIR=str(tmp_path / "data"))

    assert done.returncode == 0, done.stderr
    measured = re.search(r"^nano: an hour of audio takes ([\d.]+) minutes in one recording", done.stdout, re.M)
    assert measured
    assert 0 < float(measured[1]) < 60
    assert re.search(r"the largest process took \d+ MB", done.stdout)


def test_the_doctor_says_what_is_wrong(tmp_path: Path) -> None:
    gone = "http://127.0.0.1:9"

    done = run("doctor", WHISPER_MODEL="tiny", HF_HOME=str(tmp_path / "hf"), HF_ENDPOINT=gone, DATA_DIR="/proc/nowhere")

    assert done.returncode == 1
    assert "wrong data folder: " in done.stdout
    assert f"wrong model: tiny is not downloaded, and {gone} does not have it or cannot be reached" in done.stdout


def test_models_are_listed_with_what_is_here() -> None:
    done = run("models")

    assert done.returncode == 0
    assert re.search(r"^nano .* yes +this package", done.stdout, re.M)
    assert "Systran/faster-whisper-large-v3" in done.stdout
    assert "WHISPER_MODEL_PATH=FILE" in done.stdout
    assert "large-v3-turbo (default)" in done.stdout or "small (default)" in done.stdout
    assert re.search(r"^large-v3 .* 3100 MB +3951 MB +1 x", done.stdout, re.M)


def test_the_version_is_told() -> None:
    assert run("--version").stdout == f"scrivano {scrivano.__version__}\n"


# serve -----------------------------------------------------------------------------------------------------------


def refused(*arguments: str) -> str:
    """The one line that a server which cannot start ends with."""
    done = run("serve", "--model", "nano", *arguments)
    assert done.returncode == 2, done.stdout
    [line] = [line for line in done.stderr.splitlines() if line.strip()]
    return line


def test_a_second_server_on_the_same_folder_says_who_holds_it(server: Served) -> None:
    data_dir = next(line["data_dir"] for line in server.log if line["message"] == "listening")

    line = refused("--port", "0", "--data-dir", data_dir)

    assert f"in use by process {server.process.pid}, at {server.url}" in line


def test_a_port_in_use_is_said_so(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        line = refused("--port", str(taken.getsockname()[1]), "--data-dir", str(tmp_path))
    assert "cannot listen on 127.0.0.1 port" in line
    assert "(Address already in use): is another server running there?" in line


def test_an_address_that_is_not_here_is_said_so(tmp_path: Path) -> None:
    line = refused("--host", "192.0.2.1", "--port", "0", "--data-dir", str(tmp_path))

    assert "cannot listen on 192.0.2.1" in line
    assert "--host" in line
    assert "another server" not in line


def test_an_unwritable_folder_is_said_so() -> None:
    assert "cannot write to /proc" in refused("--port", "0", "--data-dir", "/proc/nowhere")


@pytest.mark.parametrize(
    ("variable", "value"),
    [("DEVICE", "tpu"), ("PORT", "eighty"), ("BEAM_SIZE", "0"), ("ADMISSION", "perhaps"), ("WHISPER_MODEL", "huge")],
)
def test_an_unknown_setting_value_is_said_so(tmp_path: Path, variable: str, value: str) -> None:
    arguments = ["serve", "--data-dir", str(tmp_path)] + (["--port", "0"] if variable != "PORT" else [])
    done = run(*arguments, stdin=b"", **{variable: value})

    assert done.returncode == 2
    assert value in done.stderr
    assert len([line for line in done.stderr.splitlines() if line.strip()]) == 1


def test_a_term_signal_ends_the_server_in_order(tmp_path: Path) -> None:
    server = Served(start(tmp_path))
    server.load()
    children = server.children("engine") + server.children("media")
    job_id = server.submit("en-it-mixed-0.flac")
    with server.http.stream("GET", f"/jobs/{job_id}/stream"):
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(30) == 0
    server.close()

    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in children))
    assert [line for line in server.log if line["level"] in ("error", "critical")] == []


def test_a_server_without_network_says_what_to_do_and_goes_on(tmp_path: Path) -> None:
    env = {"WHISPER_MODEL": "tiny", "HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path / "hub")}
    with served(tmp_path / "data", **env) as server:
        server.http.post("/model/load")

        def failed() -> str:
            status = server.http.get("/model/status").json()
            return str(status.get("last_error", "")) if status["state"] == "unloaded" else ""

        assert "WHISPER_MODEL_PATH" in until(failed)
        assert server.http.get("/health").status_code == 200


def test_a_model_is_downloaded_at_its_first_load_and_told_how_far(tmp_path: Path) -> None:
    with hub() as models:
        env = {"WHISPER_MODEL": REPOSITORY, "HF_ENDPOINT": models.url, "HF_HOME": str(tmp_path / "hub")}
        with served(tmp_path / "data", **env) as server:
            assert text_of(server.ended(server.submit(CLIP, queue="true"))) == CATALOG[CLIP]["text"]
            log = [line for line in server.log if line["message"] == "downloading the model"]
    assert log[-1]["done_bytes"] == log[-1]["total_bytes"] > 1_000_000


def test_a_person_at_a_terminal_reads_no_json(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    env = {**os.environ, "WHISPER_MODEL": "nano", "DATA_DIR": str(tmp_path), "PORT": "0"}
    with subprocess.Popen(
        [sys.executable, "-m", "scrivano", "serve"], stdout=theirs, stderr=theirs, env=env
    ) as process:
        os.close(theirs)
        shown = b""
        while b"Ctrl-C" not in shown:
            shown += os.read(ours, 65536)
        process.send_signal(signal.SIGINT)
        with suppress(OSError):  # the end of a terminal
            while more := os.read(ours, 65536):
                shown += more
    os.close(ours)

    text = shown.decode().replace("\r\n", "\n")
    assert process.returncode == 0
    assert text.startswith(f"Scrivano {scrivano.__version__}\n")
    assert re.search(r"page +(http://127\.0\.0\.1:\d+)\n +HTTP +\1/docs\n", text)
    assert text.endswith("  stopped\n")
    assert "{" not in text
    assert "disk" not in text


def test_log_lines_are_json_elsewhere(server: Served) -> None:
    assert {"time", "level", "logger", "message"} <= set(server.log[0])


# starts that fail ------------------------------------------------------------------------------------------------

# The modules are imported first, because the other user may not be able to read them.
AS_AN_UNKNOWN_USER = """
import encodings.idna, os, pynvml, sys
from scrivano.cli.console import exit_on_start_error
from scrivano.server import build, run
from scrivano.server.settings import Settings
os.setgroups([])
os.setgid(54321)
os.setuid(54321)
import typer
try:
    with exit_on_start_error():
        run.run(Settings.load())
except typer.Exit as done:
    sys.exit(done.exit_code)
"""


@pytest.mark.parametrize(
    ("env", "reason"),
    [
        ({"WHISPER_MODEL_PATH": "/nowhere/model"}, "/nowhere/model does not exist"),
        ({"CORS_ORIGINS": "https://*.example.org"}, "CORS_ORIGINS is 'https://*.example.org'"),
        ({"DEVICE": "cuda", "CUDA_DEVICE": "99"}, "there is no CUDA device 99"),
    ],
)
def test_a_start_that_fails_says_why_in_one_line(tmp_path: Path, env: dict[str, Any], reason: str) -> None:
    done = run("serve", "--port", "0", DATA_DIR=str(tmp_path), **env)

    assert (done.returncode, done.stdout) == (2, "")
    assert reason in done.stderr
    assert done.stderr.count("\n") == 1


def test_settings_are_listed_in_plain_text() -> None:
    done = run("settings")

    assert "0.0.0.0 is all of IPv4, :: is all." in done.stdout
    assert "Unset: in DATA_DIR." in done.stdout
    assert re.findall(r"`|\]\(|\.md", done.stdout) == []


@pytest.mark.parametrize("damaged", ["jobs", "jobs_by_status"])
def test_a_damaged_database_ends_the_start_with_one_line(tmp_path: Path, damaged: str) -> None:
    """Opening it reads no page of jobs; the first reads of what a killed server has left do."""
    database = tmp_path / "scrivano.db"
    SqliteDatabase.open(database).close()
    with closing(sqlite3.connect(database)) as db:
        (page,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", [damaged]).fetchone()
    with database.open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(b"\xff" * 4096)

    done = run("serve", "--port", "0", "--model", "nano", DATA_DIR=str(tmp_path))

    assert (done.returncode, done.stdout) == (2, "")
    assert f"cannot use the database {database}: " in done.stderr
    assert "`scrivano restore --force FILE`" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize(
    ("env", "reason"),
    [
        ({}, "user 54321 has no home folder: set DATA_DIR"),
        ({"DATA_DIR": "~/scrivano"}, "user 54321 has no home folder: set DATA_DIR"),
        (
            {"DATA_DIR": "OPEN", "WHISPER_MODEL": "tiny"},
            "user 54321 has no home folder for the model tiny: set HF_HOME",
        ),
        ({"HOME": "/"}, "cannot write to /.local/share/scrivano"),
    ],
)
def test_a_user_without_a_home_is_told_what_to_set(tmp_path: Path, env: dict[str, str], reason: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        given = {name: value.replace("OPEN", folder) for name, value in env.items()}
        done = subprocess.run(
            [sys.executable, "-c", AS_AN_UNKNOWN_USER],
            env={"PATH": os.environ["PATH"], "PYTHONPATH": os.environ.get("PYTHONPATH", ""), "PORT": "0", **given},
            capture_output=True,
            text=True,
            cwd=folder,
            timeout=60,
        )

        assert (done.returncode, reason in done.stderr) == (2, True), done.stderr
        assert done.stderr.count("\n") == 1
        assert not (Path(folder) / "~").exists()


# doctor ----------------------------------------------------------------------------------------------------------


def test_doctor_asks_the_hub_for_a_model_that_is_not_there(tmp_path: Path) -> None:
    with hub() as one:
        done = run(
            "doctor",
            WHISPER_MODEL=REPOSITORY,
            HF_HOME=str(tmp_path / "hf"),
            HF_ENDPOINT=one.url,
            DATA_DIR=str(tmp_path),
        )
    assert f"model: {REPOSITORY}, will be downloaded at its first load (" in done.stdout
    assert done.returncode == 0
