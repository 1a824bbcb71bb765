"""The page in a frame of another page, in a browser: only where the server's operator allows it."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from chromium import chromium
from served import served

pytestmark = [pytest.mark.slow, pytest.mark.browser]


class Dashboard(http.server.BaseHTTPRequestHandler):
    """`/ADDRESS` is a page that shows that address in a frame."""

    def do_GET(self) -> None:
        body = f'<!doctype html><iframe src="{self.path[1:]}"></iframe>'.encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def dashboard() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Dashboard) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_a_browser_shows_the_page_in_a_frame_only_where_it_is_allowed(dashboard: str, tmp_path: Path) -> None:
    # Each setting, and whether the frame of the dashboard, which is another origin, shows the page.
    settings = {"": False, "self": False, dashboard: True, "*": True}
    shown = {}
    with chromium() as browser:
        for number, ancestors in enumerate(settings):
            with served(tmp_path / str(number), PAGE_FRAME_ANCESTORS=ancestors) as server:
                page = browser.new_page()
                page.goto(f"{dashboard}/{server.url}/")
                shown[ancestors] = page.frames[1].url == f"{server.url}/" and "Scrivano" in page.frames[1].title()
                page.close()

    assert shown == settings
