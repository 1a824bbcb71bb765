from __future__ import annotations

import base64
import json
import secrets
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from served import served, until
from standardwebhooks import Webhook

Call = tuple[bytes, dict[str, str]]


@pytest.fixture
def receiver() -> Iterator[tuple[str, list[Call]]]:
    """A URL, and the bodies and headers of the calls that it had."""
    calls: list[Call] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            calls.append((self.rfile.read(int(self.headers["Content-Length"])), dict(self.headers.items())))
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/hook", calls
    server.shutdown()
    server.server_close()


def test_webhooks_are_signed_with_both_secrets_and_their_payload_is_the_job(
    tmp_path: Path, receiver: tuple[str, list[Call]]
) -> None:
    url, calls = receiver
    old, new = ("whsec_" + base64.b64encode(secrets.token_bytes(32)).decode() for _ in range(2))
    with served(tmp_path, WEBHOOK_SECRET=f"{new},{old}", ADMISSION="queue") as server:
        answer = server.http.post("/jobs", files={"audio": ("a", b"no recording")}, data={"webhook_url": url})
        job = server.ended(answer.json()["job_id"])
        until(lambda: len([body for body, _ in calls if b'"status"' in body]))

        body, headers = next(call for call in calls if b'"status"' in call[0])
        assert json.loads(body) == job
        for secret in (old, new):
            assert Webhook(secret).verify(body, headers) == job
        assert old[6:] not in str(server.log)
