"""The image's file system, started as a container engine would: as process 1, as an unknown user, read-only.

SCRIVANO_IMAGE=scrivano:cpu python -m pytest tests/e2e/test_image.py
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from served import CATALOG, DATA, until

RUN = Path(__file__).parents[2] / "tools" / "release" / "run_image.py"
IMAGE = os.environ.get("SCRIVANO_IMAGE", "")
CLIP = "en-exact-0.flac"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not IMAGE, reason="SCRIVANO_IMAGE is not set"),
    pytest.mark.skipif(os.geteuid() != 0 or shutil.which("buildah") is None, reason="needs root and buildah"),
]


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
def running(volumes: dict[str, Path]) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    options = [option for inside, outside in volumes.items() for option in ("--volume", f"{inside}={outside}")]
    command = [sys.executable, str(RUN), IMAGE, "--user", "12345", *options, "--env", f"PORT={port}"]
    with subprocess.Popen(command, start_new_session=True) as process:
        try:
            yield process, f"http://127.0.0.1:{port}"
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)


def test_it_transcribes_with_nothing_but_its_defaults_and_volumes(
    running: tuple[subprocess.Popen[bytes], str], volumes: dict[str, Path]
) -> None:
    process, url = running
    with httpx2.Client(base_url=url, timeout=60) as http:

        def ready() -> bool:
            try:
                return http.get("/readyz").status_code == 200
            except httpx2.TransportError:
                return False

        until(ready, 120)
        assert http.get("/health").json()["model"] == "ggml-large-v3"
        assert http.get("/").status_code == 200
        audio = {"audio": (CLIP, (DATA / CLIP).read_bytes())}
        job_id = http.post("/jobs", files=audio, data={"queue": "true"}).json()["job_id"]
        job = until(lambda: (one := http.get(f"/jobs/{job_id}").json()) and one["completed_at"] and one, 120)

    assert job["status"] == "done"
    assert job["segments"][0]["text"] == CATALOG[CLIP]["text"].split(".")[0] + "."
    assert (volumes["/data"] / "scrivano.db").stat().st_uid == 12345
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 0
    assert not (volumes["/data"] / "scrivano.db-wal").exists(), "it ended in order"
