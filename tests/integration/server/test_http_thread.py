"""An HTTP server on a thread, with real sockets."""

from __future__ import annotations

import socket
from contextlib import ExitStack

import httpx2
import pytest
from starlette.responses import PlainTextResponse

from scrivano.server.http_server import ConnectionLimits
from scrivano.server.http_thread import HttpThread
from scrivano.server.sockets import bind_all, host_and_port

LIMITS = ConnectionLimits(connections=4, head_s=20, keep_alive_s=75, drain_interval_s=60, drain_bytes_per_s=500)


def test_it_answers_where_it_was_told_to_until_it_is_stopped() -> None:
    with ExitStack() as cleanup:
        listeners = bind_all("127.0.0.1", 0, cleanup)
        address = host_and_port(listeners[0])
        http = HttpThread(PlainTextResponse("text"), listeners, LIMITS)
        http.start()
        client = cleanup.enter_context(httpx2.Client(timeout=60))

        assert client.get(f"http://{address}/").text == "text"
        http.stop()  # although the client keeps its connection

        host, port = address.split(":")
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((host, int(port)), 60)


def test_it_can_be_stopped_at_once() -> None:
    with ExitStack() as cleanup:
        http = HttpThread(PlainTextResponse("text"), bind_all("127.0.0.1", 0, cleanup), LIMITS)
        http.start()
        http.stop()
