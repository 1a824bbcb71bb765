"""A model hub on loopback with one repository: the nano model."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from engine_support import NANO_FOLDER

COMMIT = "0123456789abcdef0123456789abcdef01234567"
REPOSITORY = "someone/nano"
NAMES = ("config.json", "model.bin", "preprocessor_config.json", "tokenizer.json", "vocabulary.json")
FILES = {name: (NANO_FOLDER / name).read_bytes() for name in NAMES} | {"README.md": b"not needed"}
# huggingface_hub resumes a broken download at a multiple of this (its DOWNLOAD_CHUNK_SIZE).
KEPT_BYTES = 10 * 1024 * 1024

# Called with a file name and the first requested byte. Returns how many bytes to send before the connection breaks;
# None: all of them.
Limit = Callable[[str, int], int | None]


class Hub(ThreadingHTTPServer):
    """The routes of huggingface.co that a snapshot download uses, for one repository."""

    daemon_threads = True

    def __init__(self, limit: Limit) -> None:
        super().__init__(("127.0.0.1", 0), HubHandler)
        self.limit = limit
        self.requests: list[tuple[str, int]] = []
        self.wrong: set[str] = set()  # Files whose first byte arrives wrong.
        self.portal: set[str] = set()  # Beginnings of paths that a login page answers, and JSON of another program.
        self.other_json: set[str] = set()
        self.claimed_bytes: dict[str, int] = {}  # Sizes in the listing, in place of the true ones.

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class HubHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Hub

    def do_GET(self) -> None:
        path = self.path.split("?")[0]
        if path.startswith(tuple(self.server.portal)):
            self._send(b"<!doctype html><title>Log in</title>", "text/html")
        elif path.startswith(tuple(self.server.other_json)):
            self._json([1])
        elif path.startswith(f"/api/models/{REPOSITORY}/tree/"):
            self._json([_listed(name, data) for name, data in FILES.items()])
        elif re.fullmatch(rf"/api/models/{REPOSITORY}(/revision/.*)?", path):
            siblings = [_sibling(name, data, self.server.claimed_bytes.get(name)) for name, data in FILES.items()]
            self._json({"id": REPOSITORY, "sha": COMMIT, "siblings": siblings})
        else:
            self._file(path)

    do_HEAD = do_GET

    def _file(self, path: str) -> None:
        found = re.fullmatch(rf"/{REPOSITORY}/resolve/[^/]+/([\w.]+)", path)
        if not found or found[1] not in FILES:
            self.send_response(404)
            self.send_header("X-Error-Code", "RepoNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        data = FILES[found[1]]
        first = int(re.sub(r"bytes=(\d+)-.*", r"\1", self.headers.get("Range", "bytes=0-")))
        self.send_response(206 if "Range" in self.headers else 200)
        self.send_header("Content-Length", str(len(data) - first))
        self.send_header("Content-Range", f"bytes {first}-{len(data) - 1}/{len(data)}")
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("ETag", f'"{hashlib.sha256(data).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        if self.command == "GET":
            self._body(found[1], data, first)

    def _body(self, name: str, data: bytes, first: int) -> None:
        self.server.requests.append((name, first))
        limit = self.server.limit(name, first)
        if name in self.server.wrong and first == 0:
            data = bytes([data[0] ^ 1]) + data[1:]
        self.wfile.write(data[first:] if limit is None else data[first : first + limit])
        self.close_connection = limit is not None

    def _json(self, body: Any) -> None:
        self._send(json.dumps(body).encode(), "application/json")

    def _send(self, data: bytes, content_type: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        """No log: `requests` has the requests."""


def _sibling(name: str, data: bytes, claimed_bytes: int | None) -> dict[str, Any]:
    """As the hub lists a file; large ones are kept by their SHA-256 (Git LFS)."""
    listed = {"rfilename": name, "size": claimed_bytes or len(data)}
    if not name.startswith(("model.bin", "vocabulary.l")):
        return listed
    return listed | {"lfs": {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 130}}


def _listed(name: str, data: bytes) -> dict[str, Any]:
    oid = hashlib.sha1(data).hexdigest()
    return {"type": "file", "path": name, "size": len(data), "oid": oid}


@contextmanager
def hub(limit: Limit = lambda name, first: None) -> Iterator[Hub]:
    server = Hub(limit)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
