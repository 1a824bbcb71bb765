"""What happens to connections: clients that offer HTTP/2, and connections that are used again."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from served import DATA, Served, served

JAVA = shutil.which("java")
KEEP_S = 2

PROGRAM = """
import java.net.URI;
import java.net.http.*;
import java.nio.file.*;

public class Upload {
    public static void main(String[] args) throws Exception {
        byte[] form = Files.readAllBytes(Path.of(args[1]));
        HttpClient client = HttpClient.newHttpClient();
        for (HttpRequest.BodyPublisher body : new HttpRequest.BodyPublisher[] {
                HttpRequest.BodyPublishers.ofByteArray(form),
                HttpRequest.BodyPublishers.ofInputStream(() -> new java.io.ByteArrayInputStream(form))}) {
            HttpRequest request = HttpRequest.newBuilder(URI.create(args[0]))
                .header("Content-Type", "multipart/form-data; boundary=b").POST(body).build();
            System.out.println(client.send(request, HttpResponse.BodyHandlers.ofString()).statusCode());
        }
    }
}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("connections")
    with served(folder, ADMISSION="queue", HTTP_KEEP_ALIVE_SECS=str(KEEP_S)) as server:
        yield server


def form() -> bytes:
    recording = (DATA / "en-exact-0.flac").read_bytes()
    part = b'--b\r\nContent-Disposition: form-data; name="audio"; filename="a.flac"\r\n\r\n'
    return part + recording + b"\r\n--b--\r\n"


@pytest.mark.parametrize("protocol", ["h2c", "websocket", "TLS/1.0"])
def test_an_upload_that_offers_another_protocol_is_received(server: Served, protocol: str) -> None:
    offer = {"Connection": "Upgrade, HTTP2-Settings", "HTTP2-Settings": "AAEAAEAA", "Upgrade": protocol}
    headers = {"Content-Type": "multipart/form-data; boundary=b", **offer}
    with closing(HTTPConnection(urlsplit(server.url).netloc, timeout=30)) as connection:
        for _ in range(2):
            connection.request("POST", "/jobs", form(), headers)
            response = connection.getresponse()
            response.read()
            assert response.status == 202


@pytest.mark.skipif(JAVA is None, reason="no Java here")
def test_javas_client_uploads_as_it_comes(server: Served, tmp_path: Path) -> None:
    (tmp_path / "Upload.java").write_text(PROGRAM)
    (tmp_path / "form").write_bytes(form())

    command = [str(JAVA), str(tmp_path / "Upload.java"), f"{server.url}/jobs", str(tmp_path / "form")]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120)

    assert run.stdout.split() == ["202", "202"], run.stderr


def test_a_connection_stays_a_little_longer_than_the_client_is_told(server: Served) -> None:
    with closing(HTTPConnection(urlsplit(server.url).netloc, timeout=30)) as connection:
        idle_since = time.monotonic()  # or later
        connection.request("GET", "/health")
        response = connection.getresponse()
        response.read()
        assert response.getheader("Keep-Alive") == f"timeout={KEEP_S}"
        sock = connection.sock
        assert sock is not None
        assert sock.recv(1) == b""  # closed

    assert time.monotonic() - idle_since > KEEP_S + 0.5
