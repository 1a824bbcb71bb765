"""A webhook receiver that counts calls, and can run an action at the moment of a call."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
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
    """`calls`: the number of calls for each `webhook-id`. `messages`: the `webhook-id`s of each job."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.calls: Counter[str] = Counter()
        self.messages: dict[str, set[str]] = {}
        self._lock = threading.Lock()
        self._trap: Trap | None = None

    def at_next_call(self, moment: Moment, action: Callable[[], None]) -> threading.Event:
        """Run `action` once, at this moment of the next call. The event is set afterwards."""
        self._trap = Trap(moment, action)
        return self._trap.sprung

    def forget_trap(self) -> bool:
        """Returns whether there was an action that had not run."""
        with self._lock:
            trap, self._trap = self._trap, None
            return trap is not None

    def faults(self, job_ids: Iterable[str]) -> tuple[list[str], list[str]]:
        """Jobs of which no webhook came, and those with more than one."""
        told = {job_id: self.messages.get(job_id, set()) for job_id in job_ids}
        lost = [f"{job_id}: its webhook" for job_id, messages in told.items() if not messages]
        return lost, [f"{job_id}: {sorted(messages)}" for job_id, messages in told.items() if len(messages) > 1]

    @property
    def calls_again(self) -> int:
        """Calls with a `webhook-id` that had come before."""
        return self.calls.total() - len(self.calls)

    def heard(self, message_id: str, body: Any) -> Trap | None:
        """Count a call for a job. Returns the action that it triggers."""
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
            except OSError:  # The caller was killed.
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
