"""The script that makes a release of Gitea and Forgejo, with a forge that has only the routes that it needs."""

from __future__ import annotations

import http.server
import json
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "tools" / "release" / "forge.sh"
RELEASES = "/api/v1/repos/me/scrivano/releases"

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")


class Forge(http.server.ThreadingHTTPServer):
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Routes)
        self.tags: list[str] = []
        self.files: dict[str, bytes] = {}
        self.tokens: set[str | None] = set()


class Routes(http.server.BaseHTTPRequestHandler):
    server: Forge

    def do_GET(self) -> None:
        tag = self.path.removeprefix(f"{RELEASES}/tags/")
        self._answer(200 if tag in self.server.tags else 404)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == RELEASES:
            self.server.tags.append(json.loads(body)["tag_name"])
        else:
            [name] = re.findall(rf"^{RELEASES}/7/assets\?name=(.+)$", self.path)
            self.server.files[name] = body
        self._answer(201)

    def _answer(self, status: int) -> None:
        self.server.tokens.add(self.headers["Authorization"])
        self.send_response(status)
        self.end_headers()
        self.wfile.write(b'{"id": 7}' if status < 400 else b'{"message": "not found"}')

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def forge() -> Iterator[Forge]:
    with Forge() as forge:
        threading.Thread(target=forge.serve_forever, daemon=True).start()
        yield forge
        forge.shutdown()


def test_a_release_is_made_once_and_gets_all_files(forge: Forge, tmp_path: Path) -> None:
    files = [tmp_path / "one.whl", tmp_path / "SHA256SUMS"]
    for file in files:
        file.write_text(f"content of {file.name}")
    address = f"http://127.0.0.1:{forge.server_address[1]}"
    env = {**os.environ, "GITHUB_SERVER_URL": address, "GITHUB_REPOSITORY": "me/scrivano", "TOKEN": "secret"}

    for _ in range(2):
        subprocess.run(["bash", SCRIPT, "v1.2.3", *files], env=env, check=True, timeout=60)

    assert forge.tags == ["v1.2.3"]
    assert forge.tokens == {"token secret"}
    assert {name: f"content of {name}".encode() in body for name, body in forge.files.items()} == {
        "one.whl": True,
        "SHA256SUMS": True,
    }
