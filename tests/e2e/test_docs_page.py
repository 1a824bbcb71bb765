"""The documentation page in a real browser, without a network."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from served import served

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")

OFFLINE = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--virtual-time-budget=10000",
)


@pytest.mark.skipif(BROWSER is None, reason="no Chromium here")
def test_the_page_shows_every_route_and_asks_no_foreign_host(tmp_path: Path) -> None:
    with served(tmp_path / "data") as server:
        command = [
            str(BROWSER),
            *OFFLINE,
            f"--user-data-dir={tmp_path / 'profile'}",
            "--dump-dom",
            f"{server.url}/docs",
        ]
        page = subprocess.run(command, capture_output=True, text=True, timeout=60).stdout
        openapi = server.http.get("/openapi.json").json()

    for methods in openapi["paths"].values():
        for route in methods.values():
            assert route["summary"] in page
    assert 'class="opblock opblock-post"' in page
