"""Below a prefix, behind proxies that remove it: what a client gets leads back to the server through the proxy."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import httpx2
import pytest
from served import DATA, Served, served, until

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
SHOWN = "http://proxy.example/speech/to/text"
CLIP = "en-exact-0.flac"

CONFIG = """
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
        location /speech/to/text/ {{ proxy_pass {url}/; }}
        location /named/ {{ proxy_pass {url}/; proxy_set_header X-Forwarded-Prefix /named; }}
    }}
}}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("proxied"), ADMISSION="queue") as server:
        yield server


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


@pytest.fixture(scope="module")
def nginx(server: Served, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("nginx")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (folder / "conf").write_text(CONFIG.format(folder=folder, port=port, url=server.url))
    process = subprocess.Popen([str(NGINX), "-p", str(folder), "-c", str(folder / "conf"), "-e", "stderr"])
    try:
        until(lambda: _connects(port))
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


@pytest.mark.skipif(NGINX is None, reason="no nginx here")
@pytest.mark.parametrize("prefix", ["/speech/to/text", "/named"])
def test_everything_works_through_nginx(nginx: str, prefix: str) -> None:
    with httpx2.Client(follow_redirects=True, timeout=60) as client:
        root = client.get(f"{nginx}{prefix}/")
        assert (root.status_code, str(root.url)) == (200, f"{nginx}{prefix}/")
        for file in re.findall(r'(?:src|href)="([^"]+)"', root.text):
            assert client.get(urljoin(str(root.url), file)).status_code == 200, file
        assert client.get(f"{nginx}{prefix}/docs").status_code == 200
        assert client.get(f"{nginx}{prefix}/jobs/").json()["jobs"] is not None

        recording = (DATA / CLIP).read_bytes()
        files = {"file": (CLIP, recording)}
        assert client.post(f"{nginx}{prefix}/v1/audio/transcriptions/", files=files).json()["text"]

        start = client.post(f"{nginx}{prefix}/uploads", headers={**TUS, "Upload-Length": str(len(recording))})
        upload = urljoin(str(start.url), start.headers["Location"])
        headers = {**TUS, "Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}
        done = client.patch(upload, content=recording, headers=headers)
        assert done.status_code == 204
        assert client.get(f"{nginx}{prefix}/jobs/{done.headers['X-Job-Id']}").json()["id"]
