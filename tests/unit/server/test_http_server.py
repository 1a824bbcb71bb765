"""What the HTTP server relies on in uvicorn, and its limits for the head of a request."""

from __future__ import annotations

import asyncio
import errno
import inspect
import json
import re
import tomllib
from importlib.metadata import version
from pathlib import Path
from typing import cast

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from scrivano.server.http_server import MAX_HEAD_BYTES, Connection, ConnectionLimits, HttpServer

PYPROJECT = Path(__file__).parents[3] / "pyproject.toml"
LIMITS = ConnectionLimits(connections=2, head_s=0.02, keep_alive_s=75, drain_interval_s=1.0, drain_bytes_per_s=100)


def numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in text.split("."))


def test_only_versions_of_uvicorn_up_to_the_tested_minor_are_allowed() -> None:
    """To allow a later one, run the tests of slow clients and of the shutdown with it."""
    (requirement,) = [
        line for line in tomllib.loads(PYPROJECT.read_text())["project"]["dependencies"] if "uvicorn" in line
    ]
    bounds = re.fullmatch(r"uvicorn>=([0-9.]+),<([0-9.]+)", requirement)

    assert bounds
    major, minor, *_ = installed = numbers(version("uvicorn"))
    assert numbers(bounds[1]) <= installed < numbers(bounds[2]) == (major, minor + 1)


@pytest.mark.parametrize(("ours", "theirs"), [(HttpServer, uvicorn.Server), (Connection, HttpToolsProtocol)])
def test_every_method_that_is_overridden_exists_with_the_same_parameters(ours: type, theirs: type) -> None:
    overridden = {
        "startup", "on_tick", "shutdown",
        "connection_made", "connection_lost", "data_received", "send_400_response",
        "on_message_begin", "on_url", "on_header", "on_headers_complete", "on_message_complete", "on_response_complete",
    } & vars(ours).keys()  # fmt: skip

    assert {"proxy_headers", "headers", "timeout_keep_alive"} <= inspect.signature(uvicorn.Config).parameters.keys()
    assert len(overridden) == (3 if ours is HttpServer else 10)
    for name in overridden:
        assert list(inspect.signature(getattr(ours, name)).parameters) == list(
            inspect.signature(getattr(theirs, name)).parameters
        ), name


class Transport(asyncio.Transport):
    """Records what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closed = False
        self.ended = False
        self.reset = False

    def get_extra_info(self, name: str, default: object = None) -> object:
        return default

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        if self.reset:
            raise OSError(errno.ENOTCONN, "Transport endpoint is not connected")
        self.ended = True

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def server() -> HttpServer:
    return HttpServer(application, LIMITS, failed=lambda: False, on_shutdown=lambda: None)


def connect(config: uvicorn.Config, state: ServerState) -> tuple[Connection, Transport]:
    config.load() if not config.loaded else None
    connection = cast(type[Connection], config.http_protocol_class)(config, state, {})
    transport = Transport()
    connection.connection_made(transport)
    return connection, transport


def status(transport: Transport) -> int:
    """The status of a response that this module wrote itself; 0: none."""
    if not transport.written:
        return 0
    head, _, body = transport.written.partition(b"\r\n\r\n")
    assert set(json.loads(body)) == {"error"}
    return int(head.split()[1])


def test_a_head_that_is_too_large_is_refused() -> None:
    async def run() -> None:
        for data in (b"GET /" + b"a" * MAX_HEAD_BYTES, b"GET / HTTP/1.1\r\nA: " + b"a" * MAX_HEAD_BYTES + b"\r\n\r\n"):
            connection, transport = connect(server().config, ServerState())
            for start in range(0, len(data), 1000):
                connection.data_received(data[start : start + 1000])
            assert (status(transport), transport.ended, transport.closed) == (431, True, False)

    asyncio.run(run())


def test_a_refused_connection_that_the_client_has_reset_is_no_fault() -> None:
    async def run() -> None:
        connection, transport = connect(server().config, ServerState())
        transport.reset = True
        connection.data_received(b"nonsense\r\n\r\n")
        assert (status(transport), transport.closed) == (400, False)

    asyncio.run(run())


def test_a_head_that_takes_too_long_is_refused_and_an_unused_connection_is_closed() -> None:
    async def run() -> None:
        slow, slow_transport = connect(server().config, ServerState())
        _, unused_transport = connect(server().config, ServerState())
        slow.data_received(b"GET / HTTP/1.1\r\nA:")
        await asyncio.sleep(5 * LIMITS.head_s)
        assert (status(slow_transport), slow_transport.ended) == (408, True)
        assert (status(unused_transport), unused_transport.closed) == (0, True)

    asyncio.run(run())


def test_too_many_connections_are_refused() -> None:
    async def run() -> None:
        config, state = server().config, ServerState()
        transports = [connect(config, state)[1] for _ in range(LIMITS.connections + 1)]
        assert [status(transport) for transport in transports] == [0, 0, 503]

    asyncio.run(run())


def test_a_request_in_time_is_answered() -> None:
    async def run() -> None:
        connection, transport = connect(server().config, ServerState())
        connection.data_received(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        await asyncio.sleep(5 * LIMITS.head_s)
        assert transport.written.startswith(b"HTTP/1.1 204 ")
        assert not transport.closed

    asyncio.run(run())


def test_a_failure_ends_the_server() -> None:
    failed: list[bool] = []
    server = HttpServer(application, LIMITS, failed=lambda: bool(failed), on_shutdown=lambda: None)

    assert not asyncio.run(server.on_tick(1))
    failed.append(True)
    assert asyncio.run(server.on_tick(2))
    assert server.should_exit
