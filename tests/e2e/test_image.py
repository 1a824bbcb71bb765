"""The image, started as its user would: as process 1, as an unknown user, read-only, with a volume.

SCRIVANO_IMAGE=scrivano:cpu python -m pytest tests/e2e/test_image.py

With Docker, if it has the image; else, as root, its file system in namespaces of Linux, with buildah.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import node
import pytest
from free_ports import free_port
from served import CATALOG, DATA, until

RUN = Path(__file__).parents[2] / "tools" / "release" / "run_image.py"
IMAGE = os.environ.get("SCRIVANO_IMAGE", "")
CLIP = "en-exact-0.flac"

# What a front end does: the contract's client, which gets the address of the server and a recording.
FRONT_END = """
import { openAsBlob } from "node:fs";
import { ScrivanoClient, textOf } from "CLIENT/dist/esm/index.js";
const client = new ScrivanoClient(process.argv[2]);
console.log(textOf(await client.transcribe(await openAsBlob(process.argv[3]), { queue: true })));
"""

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not IMAGE, reason="SCRIVANO_IMAGE is not set")]


def _docker_has_it() -> bool:
    if shutil.which("docker") is None:
        return False
    return subprocess.run(["docker", "image", "inspect", IMAGE], capture_output=True).returncode == 0


@dataclass(frozen=True)
class Running:
    process: subprocess.Popen[bytes]
    url: str
    volumes: dict[str, Path]
    stop_signal: signal.Signals

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(self.stop_signal)
        return self.process.wait(60)


@pytest.fixture
def volumes(tmp_path: Path, nano_ggml: Path) -> dict[str, Path]:
    """Two volumes; the models are those of the earlier server."""
    tmp_path.chmod(0o755)
    folders = {"/data": tmp_path / "data", "/models": tmp_path / "models"}
    for folder in folders.values():
        folder.mkdir()
        folder.chmod(0o777)
    shutil.copy(nano_ggml, folders["/models"] / "ggml-large-v3.bin")
    return folders


@pytest.fixture
def running(volumes: dict[str, Path]) -> Iterator[Running]:
    port = free_port()
    if _docker_has_it():
        mounts = [option for inside, outside in volumes.items() for option in ("--volume", f"{outside}:{inside}")]
        hardened = ["--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"]
        publish = ["--publish", f"127.0.0.1:{port}:8080"]
        command = ["docker", "run", "--rm", "--user", "12345", *hardened, *publish, *mounts, IMAGE]
        stop_signal = signal.SIGTERM
    else:
        # Not skipped: whoever names an image wants it tested.
        assert os.geteuid() == 0, "needs Docker with this image, or root"
        assert shutil.which("buildah") is not None, "needs Docker with this image, or buildah"
        mounts = [option for inside, outside in volumes.items() for option in ("--volume", f"{inside}={outside}")]
        command = [sys.executable, str(RUN), IMAGE, "--user", "12345", *mounts, "--env", f"PORT={port}"]
        stop_signal = signal.SIGINT
    with subprocess.Popen(command, start_new_session=True) as process:
        started = Running(process, f"http://127.0.0.1:{port}", volumes, stop_signal)
        try:
            until(lambda: _is_ready(started), 120)
            yield started
        finally:
            started.stop()


def _is_ready(started: Running) -> bool:
    assert started.process.poll() is None, "it ended"
    try:
        return httpx2.get(f"{started.url}/readyz", timeout=60).status_code == 200
    except httpx2.TransportError:
        return False


def test_it_transcribes_with_nothing_but_its_defaults_and_volumes(running: Running) -> None:
    with httpx2.Client(base_url=running.url, timeout=60) as http:
        assert http.get("/health").json()["model"] == "ggml-large-v3"
        assert http.get("/").status_code == 200
        audio = {"audio": (CLIP, (DATA / CLIP).read_bytes())}
        job_id = http.post("/jobs", files=audio, data={"queue": "true"}).json()["job_id"]
        job = until(lambda: (one := http.get(f"/jobs/{job_id}").json()) and one["completed_at"] and one, 120)

    assert job["status"] == "done"
    assert job["segments"][0]["text"] == CATALOG[CLIP]["text"].split(".")[0] + "."
    assert (running.volumes["/data"] / "scrivano.db").stat().st_uid == 12345
    assert running.stop() == 0
    assert not (running.volumes["/data"] / "scrivano.db-wal").exists(), "it ended in order"


@pytest.mark.node
def test_the_typescript_client_works_with_it(running: Running, tmp_path: Path) -> None:
    node.build_client()
    program = tmp_path / "front-end.mjs"
    program.write_text(FRONT_END.replace("CLIENT", str(node.CLIENT)))

    assert "next week" in node.run("node", str(program), running.url, str(DATA / CLIP))
