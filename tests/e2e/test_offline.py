"""With a local model nothing leaves the machine: no process looks up a name, and none writes into HOME."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from served import CATALOG, DATA, Served, start, text_of, word_error_rate

from scrivano.engines.catalog import NANO_FOLDER

CLIP = "en-exact-0.flac"
OFFLINE = [sys.executable, str(Path(__file__).parents[1] / "children" / "offline.py"), sys.executable]
UNSUPPORTED = 77


@pytest.fixture
def env(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A new user, and none of the variables that by themselves keep libraries from reporting their use."""
    for variable in ("CI", "ORT_DISABLE_TELEMETRY", "HF_HUB_DISABLE_TELEMETRY", "HF_HUB_OFFLINE", "DO_NOT_TRACK"):
        monkeypatch.delenv(variable, raising=False)
    (tmp_path / "home").mkdir()
    return {"HOME": str(tmp_path / "home"), "DATA_DIR": str(tmp_path / "data"), "WHISPER_MODEL_PATH": str(NANO_FOLDER)}


def offline(arguments: Sequence[str], env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [*OFFLINE, *arguments], env={**os.environ, **env}, capture_output=True, text=True, timeout=200, check=False
    )
    if done.returncode == UNSUPPORTED:
        pytest.skip("no seccomp filters here")
    return done


def files_in(folder: str) -> list[Path]:
    return [path for path in Path(folder).rglob("*") if path.is_file()]


def test_the_guard_kills_a_process_that_looks_up_a_name(env: dict[str, str]) -> None:
    look_up = "import socket; socket.getaddrinfo('host.invalid', 80)"

    assert offline(["-c", look_up], env).returncode < 0


def test_a_server_with_a_local_model_looks_up_no_name(tmp_path: Path, env: dict[str, str]) -> None:
    assert offline(["-c", "pass"], env).returncode == 0
    server = Served(start(tmp_path / "data", [*OFFLINE, "-m", "scrivano", "serve"], **env))
    try:
        server.load()
        job = server.ended(server.submit(CLIP))
    finally:
        server.close()

    assert word_error_rate(CATALOG[CLIP]["text"], text_of(job)) == 0
    assert server.process.returncode == 0
    assert files_in(env["HOME"]) == []


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(["transcribe", str(DATA / CLIP)], id="transcribe"),
        pytest.param(["doctor"], id="doctor", marks=pytest.mark.slow),
    ],
)
def test_a_command_with_a_local_model_looks_up_no_name(env: dict[str, str], command: list[str]) -> None:
    done = offline(["-m", "scrivano", *command], env)

    assert done.returncode == 0, done.stderr
    assert files_in(env["HOME"]) == []
