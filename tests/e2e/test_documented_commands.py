"""The command blocks of the documentation, run as they stand: each one here, or with a note of why not.

`<!-- not run: reason -->` before a block leaves it out. Of what stands in a block only this is replaced: the server's
address, the id of a job, the models (by the bundled one), and folders of the system (by temporary ones).
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from served import CATALOG, DATA, Served, served, until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1500),
    pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl"),
]

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"(?:<!-- not run: (?P<reason>[^>]+?) -->\n\n?)?```sh\n(?P<text>.*?)```", re.DOTALL)
CLIP = "en-exact-0.flac"
JOB_ID = "6f9619ff-8b86-4d01-b42d-00cf4fc964ff"

SETTINGS = {"IDLE_TIMEOUT_SECS": "0", "KEEP_AUDIO": "true", "VOICES": "true"}

# These run until they are interrupted: what shows that they work.
ENDLESS = {"scrivano serve": "listening", "scrivano watch": "meeting"}


@dataclass(frozen=True, slots=True)
class Block:
    number: int
    text: str
    reason: str | None

    @property
    def commands(self) -> str:
        return re.sub(r"\s+#.*", "", self.text)


def blocks(page: Path) -> list[Block]:
    found = BLOCK.finditer(page.read_text())
    return [Block(number, one["text"], one["reason"]) for number, one in enumerate(found, 1)]


def runnable() -> list[Path]:
    return [page for page in PAGES if any(block.reason is None for block in blocks(page))]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("documented"), **SETTINGS) as server:
        server.load()
        yield server


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """A folder with the files that the commands name, and the programs that they call."""
    for name in ("meeting.mp3", "interview.m4a", "call.wav", "ada.wav", "recordings/meeting.flac"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(DATA / CLIP, tmp_path / name)
    (tmp_path / "recordings" / "meeting.txt").write_text(CATALOG[CLIP]["text"])
    earlier = {"id": JOB_ID, "status": "done", "task": "transcribe", "progress": 100, "segments": []}
    times = {"created_at": "2025-01-02T03:04:05Z", "completed_at": "2025-01-02T03:05:05Z"}
    (tmp_path / "earlier-server").mkdir()
    (tmp_path / "earlier-server" / f"{JOB_ID}.json").write_text(json.dumps({**earlier, **times}))
    programs = {
        "scrivano": f'exec {sys.executable} -m scrivano "$@"',
        "curl": f'exec {shutil.which("curl")} --fail-with-body --silent --show-error "$@"',
    }
    for name, text in programs.items():
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(f"#!/bin/sh\n{text}\n")
        program.chmod(0o755)
    return tmp_path


def replaced(commands: str, server: Served, desk: Path, job_id: str) -> str:
    address = server.url.removeprefix("http://")
    here = {
        r"(127\.0\.0\.1|localhost|old|new):8080": address,
        JOB_ID: job_id,
        r"\$ID": job_id,
        r"model(=| )(base|small|large-v3-turbo)\b": r"model\1nano",
        "/etc/scrivano|/var/lib|/srv": str(desk),
    }
    for pattern, value in here.items():
        commands = re.sub(pattern, value, commands)
    return commands


def run(commands: str, desk: Path, env: dict[str, str]) -> None:
    """Run a block, and interrupt what has no end once it works."""
    with (desk / "output").open("w") as output:
        process = subprocess.Popen(
            ["bash", "-euc", commands],
            cwd=desk,
            env=env,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    sign = next((sign for start, sign in ENDLESS.items() if start in commands), None)
    if sign is not None:
        until(lambda: process.poll() is not None or sign in (desk / "output").read_text())
        os.killpg(process.pid, signal.SIGINT)
    assert process.wait(300) in ((0, 130, -signal.SIGINT) if sign else (0,)), (desk / "output").read_text()
    if sign is not None:
        assert sign in (desk / "output").read_text()


@pytest.mark.parametrize("page", runnable(), ids=lambda page: page.name)
def test_the_commands_of_a_page_work(server: Served, desk: Path, page: Path) -> None:
    job_id = server.submit(CLIP, queue="true")
    server.ended(job_id)
    log = next(line for line in server.log if line["message"] == "listening")
    for block in blocks(page):
        if block.reason is not None:
            continue
        commands = replaced(block.commands, server, desk, job_id)
        alone = re.search("scrivano (serve|restore|migrate)", commands)  # what needs a data folder of its own
        env = {
            **os.environ,
            "PATH": f"{desk / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "DATA_DIR": str(desk / f"data {block.number}") if alone else log["data_dir"],
            "WHISPER_MODEL": "nano",
            "PORT": "0",
        }
        run(commands, desk, env)


def test_each_block_that_is_not_run_says_why() -> None:
    left_out = [block.reason for page in PAGES for block in blocks(page) if block.reason is not None]

    assert all(len(reason) > 10 for reason in left_out)
    assert len([block for page in PAGES for block in blocks(page)]) - len(left_out) >= 12
