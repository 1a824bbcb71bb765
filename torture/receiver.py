"""A webhook receiver that counts, and that can be told to do something at the moment of a call."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

Moment = Literal["before the answer", "after the answer"]


@dataclass(slots=True)
class Trap:
    moment: Moment
    action: Callable[[], None]
    sprung: threading.Event = field(default_factory=threading.Event)


class Receiver:
    """`calls`: how often each message came, by its `webhook-id`; `messages`: those of each job, by the job's id."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.calls: Counter[str] = Counter()
        self.messages: dict[str, set[str]] = {}
        self._lock = threading.Lock()
        self._trap: Trap | None = None

    def at_next_call(self, moment: Moment, action: Callable[[], None]) -> threading.Event:
        """`action` is called once, at that moment of the next call; the event says that it was."""
        self._trap = Trap(moment, action)
        return self._trap.sprung

    def forget_trap(self) -> bool:
        """Whether there was one that had not sprung."""
        with self._lock:
            trap, self._trap = self._trap, None
            return trap is not None

    def heard(self, message_id: str, body: Any) -> Trap | None:
        """A call of a job's. Returns the trap that it springs."""
        if "id" not in body:
            return None
        with self._lock:
            self.calls[message_id] += 1
            self.messages.setdefault(body["id"], set()).add(message_id)
            trap, self._trap = self._trap, None
            return trap


@contextmanager
def receiver() -> Iterator[Receiver]:
    """A receiver on a free loopback port."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            trap = heard.heard(self.headers["webhook-id"], body)
            if trap is not None and trap.moment == "before the answer":
                _spring(trap)
            try:
                self.send_response(204)
                self.end_headers()
            except OSError:  # whoever called is dead
                self.close_connection = True
            if trap is not None and trap.moment == "after the answer":
                _spring(trap)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    heard = Receiver(f"http://127.0.0.1:{server.server_port}/")
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield heard
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _spring(trap: Trap) -> None:
    trap.action()
    trap.sprung.set()
