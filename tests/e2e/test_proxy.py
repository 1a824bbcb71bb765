"""Below a prefix, behind proxies that remove it: what a client gets leads back to the server through the proxy."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import httpx2
import pytest
from served import DATA, Served, served, start, until

SEARCHED = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"
PROXIES = ["nginx", "caddy", "haproxy"]
SHOWN = "http://proxy.example/speech/to/text"
CLIP = "en-exact-0.flac"
SCRIPT = Path(__file__).parent.parent / "children" / "server.py"

NGINX = """
daemon off; pid {folder}/pid; error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;
    uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
    client_max_body_size 0;
    proxy_request_buffering off;
    server {{
        listen 127.0.0.1:{port};
        proxy_read_timeout {timeout_s}s; proxy_send_timeout {timeout_s}s;
        location /speech/to/text/ {{ proxy_pass {url}/; }}
        location /named/ {{ proxy_pass {url}/; proxy_set_header X-Forwarded-Prefix /named; }}
    }}
}}
"""

CADDY = """
{{
    admin off
    auto_https off
    storage file_system {folder}
}}
http://127.0.0.1:{port} {{
    handle_path /speech/to/text/* {{
        reverse_proxy {host}
    }}
    handle_path /named/* {{
        reverse_proxy {host} {{
            header_up X-Forwarded-Prefix /named
            transport http {{
                response_header_timeout {timeout_s}s
                read_timeout {timeout_s}s
            }}
        }}
    }}
}}
"""

HAPROXY = """
defaults
    mode http
    timeout connect 5s
    timeout client {timeout_s}s
    timeout server {timeout_s}s
frontend outside
    bind 127.0.0.1:{port}
    http-request set-header X-Forwarded-Prefix /named if {{ path_beg /named/ }}
    http-request replace-path ^/(speech/to/text|named)/(.*) /\\2
    default_backend scrivano
backend scrivano
    server one {host}
"""

CONFIGS = {"nginx": NGINX, "caddy": CADDY, "haproxy": HAPROXY}
COMMANDS = {
    "nginx": ["-p", "{folder}", "-e", "stderr", "-c"],
    "caddy": ["run", "--adapter", "caddyfile", "--config"],
    "haproxy": ["-db", "-f"],
}
# Proxies wait so long for the next byte. White space is sent every 15 s.
TIMEOUT_S = 18


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


def _connects(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def proxied(kind: str, url: str, folder: Path, timeout_s: int = 60) -> Iterator[str]:
    """A proxy in front of the server at `url`, that ends what is silent for so many seconds; yields its address."""
    program = shutil.which(kind, path=SEARCHED)
    if program is None:
        pytest.skip(f"no {kind} here")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    values = {"folder": folder, "port": port, "url": url, "host": urlsplit(url).netloc, "timeout_s": timeout_s}
    config = folder / "conf"
    config.write_text(CONFIGS[kind].format(**values))
    command = [program, *(part.format(**values) for part in COMMANDS[kind]), str(config)]
    process = subprocess.Popen(command, env=os.environ | {"HOME": str(folder)})
    try:
        until(lambda: _connects(port))
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)


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
