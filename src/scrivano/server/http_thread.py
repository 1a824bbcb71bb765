"""An HTTP server beside what a process does."""

from __future__ import annotations

import socket
import threading
from collections.abc import Sequence

from starlette.types import ASGIApp

from scrivano.server.http_server import SHUTDOWN_S, ConnectionLimits, HttpServer

__all__ = ["HttpThread"]


class HttpThread:
    """It has a thread and an event loop of its own. `listeners` are bound; it closes them."""

    def __init__(self, app: ASGIApp, listeners: Sequence[socket.socket], limits: ConnectionLimits) -> None:
        self._stopping = threading.Event()
        server = HttpServer(app, limits, self._stopping.is_set, on_shutdown=lambda: None)
        self._thread = threading.Thread(target=server.run, args=(list(listeners),), name="http", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Open requests may end."""
        self._stopping.set()
        self._thread.join(SHUTDOWN_S + 1.0)
