"""A real S3 server in a process of its own, and a gate before it that a test can close."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from types import MappingProxyType

import httpx2
from free_ports import free_port
from served import until

START_S = 120.0
USER = "of-the-tests"


class ObjectServer:
    """moto's S3 server. It keeps objects in its memory, so it is never restarted: a `Gate` closes instead."""

    def __init__(self, **env: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "--host", "127.0.0.1", "--port", str(self.port)],
            env={**os.environ, **env},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        until(self._responds, START_S)

    def _responds(self) -> bool:
        assert self.process.poll() is None, "the S3 server has ended"
        with suppress(httpx2.HTTPError):
            return httpx2.get(f"{self.url}/moto-api/", timeout=5).status_code < 500
        return False

    def new_bucket(self) -> str:
        """Returns its name."""
        name = f"recordings-{uuid.uuid4().hex[:12]}"
        assert self._call("PUT", name).status_code == 200
        return name

    def keys(self, bucket: str) -> list[str]:
        text = self._call("GET", f"{bucket}?list-type=2").text
        return [part.partition("</Key>")[0] for part in text.split("<Key>")[1:]]

    def unfinished(self, bucket: str) -> int:
        """Multipart uploads that were started and neither completed nor aborted."""
        return self._call("GET", f"{bucket}?uploads").text.count("<UploadId>")

    def damage(self, bucket: str, key: str, data: bytes, sha256: str) -> None:
        """Replace an object by other bytes that claim the same hash."""
        assert self._call("PUT", f"{bucket}/{key}", data, {"x-amz-meta-sha256": sha256}).status_code == 200

    def remove(self, bucket: str) -> None:
        """Delete a bucket with its objects."""
        for path in (*(f"{bucket}/{key}" for key in self.keys(bucket)), bucket):
            assert self._call("DELETE", path).status_code == 204

    def _call(
        self, method: str, path: str, content: bytes = b"", headers: Mapping[str, str] = MappingProxyType({})
    ) -> httpx2.Response:
        """Unless it is told to, the server does not check signatures; but it wants to see one."""
        signed = {"Authorization": f"AWS4-HMAC-SHA256 Credential={USER}/20300101/us-east-1/s3/aws4_request"}
        return httpx2.request(method, f"{self.url}/{path}", content=content, headers={**signed, **headers}, timeout=60)

    def pause(self) -> None:
        """Accept connections, and do not respond."""
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        self.process.kill()
        self.process.wait(30)


def environment(url: str) -> Mapping[str, str]:
    """What a client of an S3 server at `url` needs to know."""
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": USER,
        "AWS_SECRET_ACCESS_KEY": "not-for-children",
        "AWS_REGION": "us-east-1",
    }


class Gate:
    """Forwards connections to a port of this machine while it is open; its own `port` stays the same."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._connections: list[socket.socket] = []
        self._listener: socket.socket | None = None
        self.port = free_port()
        self.open()
        self.url = f"http://127.0.0.1:{self.port}"

    def open(self) -> None:
        listener = socket.create_server(("127.0.0.1", self.port), backlog=100)
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def close(self) -> None:
        """Connections end at once, and new ones are refused."""
        if self._listener is not None:
            with suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        connections, self._connections = self._connections, []
        for connection in connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                if listener is not self._listener:
                    client.close()
                    return
                server = socket.create_connection(("127.0.0.1", self._target))
                self._connections += [client, server]
                for source, target in ((client, server), (server, client)):
                    threading.Thread(target=_forward, args=(source, target), daemon=True).start()


def _forward(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    for end in (source, target):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
    source.close()


@contextmanager
def object_server(**env: str) -> Iterator[ObjectServer]:
    server = ObjectServer(**env)
    try:
        yield server
    finally:
        server.close()


@contextmanager
def gate(target: int) -> Iterator[Gate]:
    it = Gate(target)
    try:
        yield it
    finally:
        it.close()
