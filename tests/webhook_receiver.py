"""The receiving end of webhooks."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any


class Receiver:
    """A webhook's receiving end. `refusals`: how many calls are answered 500 before one is taken."""

    def __init__(self, refusals: int = 0) -> None:
        self.calls: list[tuple[float, dict[str, Any], str]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.calls.append((time.monotonic(), json.loads(body), self.headers["Content-Type"]))
                self.send_response(500 if len(receiver.calls) <= refusals else 204)
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def bodies(self, key: str) -> list[Any]:
        return [body[key] for _, body, _ in list(self.calls) if key in body]
