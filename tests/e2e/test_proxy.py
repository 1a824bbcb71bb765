"""Below a prefix, behind proxies that remove it: what a client gets leads back to the server through the proxy."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import httpx2
import pytest
from chromium import chromium, window
from playwright.sync_api import expect
from proxies import PROXIES, proxied
from served import DATA, Served, served, start, until

SHOWN = "http://proxy.example/speech/to/text"
CLIP = "en-exact-0.flac"
SCRIPT = Path(__file__).parent.parent / "children" / "server.py"

# Proxies wait so long for the next byte. White space is sent every 15 s; a busy machine may be late.
TIMEOUT_S = 25


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("proxied"), ADMISSION="queue") as server:
        yield server


@pytest.fixture(scope="module")
def slow_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server whose engine hangs."""
    folder = tmp_path_factory.mktemp("slow")
    memory = folder / "memory"
    memory.write_text("8000")
    command = [sys.executable, str(SCRIPT), str(folder / "data"), str(memory), json.dumps({"decode": ["hang"]})]
    server = Served(start(folder / "data", command, SYNC_KEEPALIVE_SECS="0.5"))
    try:
        yield server
    finally:
        server.close()


TUS = {"Tus-Resumable": "1.0.0", "Upload-Length": "4"}


def test_links_and_redirects_are_relative(server: Served) -> None:
    page = server.http.get("/docs").text
    links = re.findall(r"""(?:href|src)="([^"]*)"|url: '([^']*)'""", page)
    shown = [urljoin(f"{SHOWN}/docs", a or b) for a, b in links]
    assert len(shown) >= 4
    assert all(url.startswith(f"{SHOWN}/") for url in shown)
    for url in shown:
        assert server.http.get(url.removeprefix(SHOWN)).status_code == 200
    servers = server.http.get("/openapi.json").json()["servers"]
    assert [urljoin(f"{SHOWN}/openapi.json", item["url"]) for item in servers] == [f"{SHOWN}/"]

    for path, target in {"/": "/docs", "/jobs/?limit=5": "/jobs?limit=5", "/jobs/a b/": "/jobs/a%20b"}.items():
        asked = server.http.get(path, headers={"Accept": "application/json"}, follow_redirects=False)
        location = asked.headers["Location"]
        assert urljoin(f"{SHOWN}{path}", location) == f"{SHOWN}{target}"


@pytest.mark.parametrize("endpoint", ["/uploads", "/uploads/"])
def test_an_uploads_location_is_below_the_prefix(server: Served, endpoint: str) -> None:
    response = server.http.post(endpoint, headers=TUS, follow_redirects=False)

    assert response.status_code == 201
    path = urlsplit(urljoin(f"{SHOWN}{endpoint}", response.headers["Location"])).path
    assert path.startswith("/speech/to/text/uploads/")
    assert server.http.head(path.removeprefix("/speech/to/text"), headers=TUS).status_code == 200


@pytest.mark.parametrize(
    ("prefix", "start"),
    [
        ("/speech", "/speech/uploads/"),
        ("/speech/, /other", "/speech/uploads/"),
        ("//evil.example", "uploads/"),
        ("https://evil.example", "uploads/"),
        ("", "uploads/"),
    ],
)
def test_the_prefix_that_a_proxy_sends_is_used(server: Served, prefix: str, start: str) -> None:
    response = server.http.post("/uploads", headers={**TUS, "X-Forwarded-Prefix": prefix})

    assert response.headers["Location"].startswith(start)
    assert server.http.get("/v1/nothing", headers={"X-Forwarded-Prefix": prefix}).json()["error"]["type"]


def test_only_trusted_proxies_name_a_prefix(tmp_path: Path) -> None:
    with served(tmp_path, FORWARDED_ALLOW_IPS="10.0.0.0/8") as server:
        response = server.http.post("/uploads", headers={**TUS, "X-Forwarded-Prefix": "/speech"})

    assert response.headers["Location"].startswith("uploads/")


@pytest.mark.parametrize("kind", PROXIES)
@pytest.mark.parametrize("prefix", ["/speech/to/text", "/named"])
def test_everything_works_through_a_proxy(kind: str, prefix: str, server: Served, tmp_path: Path) -> None:
    with (
        proxied(kind, server.url, tmp_path) as proxy,
        httpx2.Client(follow_redirects=True, timeout=120) as client,
    ):
        root = client.get(f"{proxy}{prefix}/")
        assert (root.status_code, str(root.url)) == (200, f"{proxy}{prefix}/")
        for file in re.findall(r'(?:src|href)="([^"]+)"', root.text):
            assert client.get(urljoin(str(root.url), file)).status_code == 200, file
        assert client.get(f"{proxy}{prefix}/docs").status_code == 200
        assert client.get(f"{proxy}{prefix}/jobs/").json()["jobs"] is not None

        recording = (DATA / CLIP).read_bytes()
        files = {"file": (CLIP, recording)}
        assert client.post(f"{proxy}{prefix}/v1/audio/transcriptions/", files=files).json()["text"]

        start = client.post(f"{proxy}{prefix}/uploads", headers={**TUS, "Upload-Length": str(len(recording))})
        upload = urljoin(str(start.url), start.headers["Location"])
        headers = {**TUS, "Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}
        done = client.patch(upload, content=recording, headers=headers)
        assert done.status_code == 204
        assert client.get(f"{proxy}{prefix}/jobs/{done.headers['X-Job-Id']}").json()["id"]


@pytest.mark.parametrize("prefix", ["/speech/to/text", "/named"])
@pytest.mark.browser
@pytest.mark.slow
def test_the_page_works_below_a_prefix(prefix: str, server: Served, tmp_path: Path) -> None:
    with chromium() as browser, proxied("nginx", server.url, tmp_path) as proxy:
        origin = f"{proxy}{prefix}/"
        # The origin of the window: a request beside the prefix fails the test.
        with window(browser, origin) as opened:
            page = opened.page
            page.goto(origin)
            page.get_by_test_id("files").set_input_files(str(DATA / CLIP))
            page.get_by_role("link", name=CLIP).click()
            expect(page.locator(".transcript")).to_contain_text("next week")
            expect(page.locator(".facts")).to_contain_text("Done")
            page.reload()
            page.get_by_role("button", name="Play", exact=True).click()
            until(lambda: page.locator(".player > audio").evaluate("audio => audio.currentTime > 0.2"))
            expect(page.locator(".wave:not(.flat)")).to_be_visible()
            page.get_by_role("link", name="Monitor").click()
            expect(page.get_by_role("heading", name="Monitor").first).to_be_visible()
            page.get_by_role("button", name="Preferences").click()
            page.get_by_role("link", name="HTTP interface").click()
            expect(page.get_by_role("heading", name=re.compile("Scrivano")).first).to_be_visible()
            assert page.url == f"{origin}docs"
            # The outline of a recording is there once it was read.
            assert set(opened.refused) <= {"404 jobs/ID/waveform"}


@pytest.mark.parametrize("kind", PROXIES)
@pytest.mark.slow
def test_a_proxy_that_ends_silent_calls_lets_a_long_one_through(kind: str, slow_server: Served, tmp_path: Path) -> None:
    with (
        proxied(kind, slow_server.url, tmp_path, TIMEOUT_S) as proxy,
        httpx2.Client(timeout=120) as client,
    ):
        before = time.monotonic()
        files = {"file": (CLIP, (DATA / CLIP).read_bytes())}
        with client.stream("POST", f"{proxy}/named/v1/audio/transcriptions", files=files) as response:
            assert response.status_code == 200
            until(lambda: time.monotonic() - before > TIMEOUT_S + 4, timeout_s=60)
            slow_server.http.delete(f"/jobs/{response.headers['X-Job-Id']}")
            body = response.read()

    assert "cancelled" in json.loads(body)["error"]["message"]
