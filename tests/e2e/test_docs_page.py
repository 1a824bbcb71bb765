"""The documentation page in a real browser, without a network."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import CHROMEDRIVER, CHROMIUM, OFFLINE, Browser, browser
from served import DATA, Served, served, until

pytestmark = pytest.mark.slow

RECORDING = DATA / "en-exact-0.flac"

OPERATION = """
    const operation = [...document.querySelectorAll(".opblock-post")]
        .find((one) => one.querySelector(".opblock-summary-path").dataset.path === arguments[0]);
"""
EXPAND = OPERATION + "if (operation) operation.querySelector('.opblock-summary-control').click(); return !!operation;"
CLICK = "const button = document.querySelector(arguments[0]); if (button) button.click(); return !!button;"
TEXT = "const found = document.querySelector(arguments[0]); return found ? found.innerText : '';"


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")
def test_the_page_shows_every_route_and_asks_no_foreign_host(tmp_path: Path) -> None:
    with served(tmp_path / "data") as server:
        command = [
            str(CHROMIUM),
            *OFFLINE,
            "--virtual-time-budget=10000",
            f"--user-data-dir={tmp_path / 'profile'}",
            "--dump-dom",
            f"{server.url}/docs",
        ]
        page = subprocess.run(command, capture_output=True, text=True, timeout=300).stdout
        openapi = server.http.get("/openapi.json").json()

    for methods in openapi["paths"].values():
        for route in methods.values():
            assert route["summary"] in page
    assert 'class="opblock opblock-post"' in page


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("docs")) as server:
        yield server


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("profile")) as page:
        yield page


@pytest.mark.skipif(CHROMIUM is None or CHROMEDRIVER is None, reason="no Chromium with chromedriver here")
@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/jobs", "202"),
        ("/v1/audio/transcriptions", "200"),
        ("/v1/audio/translations", "200"),
        ("/asr", "200"),
        ("/detect-language", "200"),
        ("/inference", "200"),
    ],
)
def test_try_it_out_works_as_it_comes(path: str, status: str, server: Served, page: Browser) -> None:
    page.open("about:blank")
    page.open(f"{server.url}/docs")
    until(lambda: page.run(EXPAND, path))
    until(lambda: page.run(CLICK, ".try-out__btn"))
    until(lambda: page.run(TEXT, ".execute"))
    page.choose_file("input[type=file]", RECORDING)
    page.run(CLICK, ".execute")

    assert until(lambda: page.run(TEXT, ".live-responses-table tr.response .response-col_status")).startswith(status)
    sent = page.run(TEXT, ".curl")
    assert "string" not in sent
    assert "=en'" not in sent
    assert "next week" in text_of_the_newest_job(server) or path == "/detect-language"


def text_of_the_newest_job(server: Served) -> str:
    newest = server.http.get("/jobs?limit=1").json()["jobs"][0]
    return " ".join(segment["text"] for segment in server.ended(newest["id"])["segments"])
