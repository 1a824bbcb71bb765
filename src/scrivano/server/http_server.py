"""The HTTP server: uvicorn, with protection against slow clients and an orderly shutdown.

With httptools, uvicorn has neither a timeout nor a size limit for the head of a request (request line and header
fields), and accepts as many connections as there are file descriptors, of which jobs need some.

This module overrides methods of uvicorn that are not its public interface. Therefore no other module does so,
`pyproject.toml` allows no later minor version of uvicorn than the tested one, and a test checks the names it uses.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, ClassVar

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from scrivano.server.request_parser import RequestParser

__all__ = ["BACKLOG", "MAX_HEAD_BYTES", "SHUTDOWN_S", "ConnectionLimits", "HttpServer"]

logger = logging.getLogger(__name__)

# Limit of the request line and all header fields. Other servers allow 8 to 64 KB.
MAX_HEAD_BYTES = 64 * 1024

# How long requests may take to end when the server stops; then they are cancelled.
SHUTDOWN_S = 5

# A connection without requests is kept this much longer than `Keep-Alive` says. A client that sends another request in
# time then does not meet the end of the connection.
KEEP_ALIVE_MARGIN_S = 1

# How many connections asyncio accepts in a row. With uvicorn's default of 2048, it would accept so many before the
# first of them is counted and refused.
ACCEPTED_AT_ONCE = 64

# How many connections may wait in the kernel to be accepted.
BACKLOG = 512

# How long the client may take to read a response that ends the connection. Closing at once, while data arrives, would
# send a reset, which may discard the response on the client's side.
LINGER_S = 2

# So many refused connections may linger; more are closed at once.
MAX_LINGERING = 128

_REASONS = {
    400: ("Bad Request", "this is not a valid HTTP request"),
    408: ("Request Timeout", "the request's header fields arrived too slowly: send them at once"),
    431: ("Request Header Fields Too Large", f"the URL and header fields have more than {MAX_HEAD_BYTES} bytes"),
    503: ("Service Unavailable", "this server has no free connections: try again later"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionLimits:
    """`connections`: how many may be open. `head_s`: from the start of a connection, or the first byte of a later
    request, to the end of its header fields. `drain_interval_s`: how often the rate is checked at which the rest of a
    request is received and discarded after its response; below `drain_bytes_per_s`, the connection is closed.
    `keep_alive_s`: how long a connection stays open without a request after one; clients are told so."""

    connections: int
    head_s: float
    keep_alive_s: int
    drain_interval_s: float
    drain_bytes_per_s: int


class HttpServer(uvicorn.Server):
    """Stops on SIGTERM, SIGINT, or when `failed` returns True. Call `run` with sockets that are already bound.

    `on_shutdown` is called on the event loop before open requests are waited for. It must make requests end that wait
    for something, or each of them delays the end by `SHUTDOWN_S`. `trusted_proxies`: addresses and networks, separated
    by commas, whose `X-Forwarded-…` header fields are used.
    """

    def __init__(
        self,
        app: ASGIApp,
        limits: ConnectionLimits,
        failed: Callable[[], bool],
        on_shutdown: Callable[[], None],
        trusted_proxies: str = "127.0.0.1",
    ) -> None:
        config = uvicorn.Config(
            _Forwarded(app, trusted_proxies),
            proxy_headers=False,
            http=_connection_class(limits),
            ws="none",
            backlog=ACCEPTED_AT_ONCE,
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=SHUTDOWN_S,
            timeout_keep_alive=limits.keep_alive_s + KEEP_ALIVE_MARGIN_S,
            headers=[("Keep-Alive", f"timeout={limits.keep_alive_s}")],
            server_header=False,
        )
        super().__init__(config)
        self._failed = failed
        self._on_shutdown = on_shutdown

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for listener in sockets or ():
            # asyncio uses its `backlog` for both purposes, so the kernel's has to be set again.
            listener.listen(BACKLOG)

    async def on_tick(self, counter: int) -> bool:
        # Setting `should_exit` also makes sse-starlette end its streams.
        self.should_exit = self.should_exit or self._failed()
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._on_shutdown()
        await super().shutdown(sockets)


class _Forwarded:
    """ASGI middleware: the client's address, the scheme and the prefix of the path, as a trusted proxy names them.

    The proxy has removed the prefix from the path. It is not removed here: clients could then reach a path that the
    proxy denies, below a prefix of their choice.
    """

    def __init__(self, app: ASGIApp, trusted_proxies: str) -> None:
        self._app = ProxyHeadersMiddleware(app, trusted_proxies)  # type: ignore[arg-type]  # has its own types for ASGI

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["client"]:
            # A socket for both families shows IPv4 addresses in this form.
            scope["client"] = (scope["client"][0].removeprefix("::ffff:"), scope["client"][1])
        if scope["type"] == "http" and scope["client"] and scope["client"][0] in self._app.trusted_hosts:
            sent = dict(scope["headers"]).get(b"x-forwarded-prefix", b"").decode("latin-1")
            prefix = sent.partition(",")[0].strip().rstrip("/")
            if _PREFIX.fullmatch(prefix):
                scope["root_path"] = prefix
                scope["path"] = prefix + scope["path"]
        await self._app(scope, receive, send)  # type: ignore[arg-type]


_PREFIX = re.compile(r"(/[A-Za-z0-9._~-]+)+")


def _connection_class(limits: ConnectionLimits) -> type[HttpToolsProtocol]:
    """uvicorn creates an instance for each connection and passes no arguments of ours, so the class has the limits."""
    return type("Connection", (Connection,), {"limits": limits, "refused": set()})


class _ResponseTransport:
    """The transport of one response: `close` leaves a client that still sends its request the time to read it."""

    def __init__(self, transport: asyncio.Transport, close: Callable[[], None]) -> None:
        self._transport = transport
        self.close = close

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class Connection(HttpToolsProtocol):
    """Measures the size and duration of each request's head, and ignores `Upgrade`; everything else is uvicorn's."""

    limits: ClassVar[ConnectionLimits]
    refused: ClassVar[set[Connection]] = set()  # those beyond `limits.connections` that linger

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self.parser = RequestParser(self)  # type: ignore[assignment]  # has the methods that uvicorn calls
        self._received = False
        self._in_head = False
        self._in_body = False
        self._lingering = False
        self._head_bytes = 0  # received since the head started, while the head is incomplete
        self._parsed_bytes = 0  # of the URL and header fields that were parsed
        self._discarded_bytes = 0
        self._refusal = 400
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        super().connection_made(transport)
        if len(self.connections) > self.limits.connections:
            self.connections.discard(self)
            self._refuse(503)
            self._linger_as_refused()
        else:
            self._start_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        self.refused.discard(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._lingering or self.transport.is_closing():
            return
        self._received = True
        was_in_head = self._in_head
        if not self._in_head and not self._in_body:
            self._start_head()  # Before the parser reports it: empty lines before a request count, too.
        self._discarded_bytes += len(data)
        super().data_received(data)
        if was_in_head and self._in_head and not self._lingering:  # The parser may have refused it already.
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self._refuse(431)

    # Callbacks of the parser

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if not self._in_head:  # a second request in the same packet
            self._start_head()

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        self._count_parsed(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        super().on_header(name, value)
        self._count_parsed(len(name) + len(value))

    def on_headers_complete(self) -> None:
        self._in_head, self._in_body = False, True
        self._stop_timer()
        super().on_headers_complete()
        self.cycle.transport = _ResponseTransport(self.transport, self._close)  # type: ignore[assignment]

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._in_body = False

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._in_body and not self._lingering and not self.transport.is_closing():
            # The response was sent before the body was complete. Closing the connection now would send a reset, which
            # may discard the response on the client's side. So the rest of the body is received and discarded.
            self._drain_body()

    def send_400_response(self, msg: str) -> None:
        self._refuse(self._refusal)

    # Limits

    def _start_head(self) -> None:
        self._in_head = True
        self._head_bytes = self._parsed_bytes = 0
        self._start_timer(self.limits.head_s, self._head_timed_out)

    def _head_timed_out(self) -> None:
        if self.cycle is not None and not self.cycle.response_complete:
            # A response to an earlier request is in progress. A pipelined request must not interrupt it.
            self._start_timer(self.limits.head_s, self._head_timed_out)
        elif self._received:
            self._refuse(408)
        else:
            # Browsers open connections in advance. No request was sent, so no response is expected.
            self.transport.close()

    def _count_parsed(self, size_bytes: int) -> None:
        self._parsed_bytes += size_bytes
        if self._parsed_bytes > MAX_HEAD_BYTES:
            self._refusal = 431
            raise ValueError("too large")  # The parser stops, and uvicorn calls `send_400_response`.

    def _drain_body(self) -> None:
        self._discarded_bytes = 0
        self._start_timer(self.limits.drain_interval_s, self._check_drain_rate)

    def _check_drain_rate(self) -> None:
        if not self._in_body:
            return
        if self._discarded_bytes <= self.limits.drain_interval_s * self.limits.drain_bytes_per_s:
            self.transport.close()
        else:
            self._drain_body()

    def _refuse(self, status: int) -> None:
        self._stop_timer()
        reason, message = _REASONS[status]
        logger.info("connection refused", extra={"status": status, "client": self.client and self.client[0]})
        body = json.dumps({"error": message}).encode()
        head = f"HTTP/1.1 {status} {reason}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        more = "X-Content-Type-Options: nosniff\r\n" + ("Retry-After: 5\r\n" if status == 503 else "")
        self.transport.write(f"{head}{more}Connection: close\r\n\r\n".encode() + body)
        self._linger()

    def _close(self) -> None:
        """After the response of the last request on this connection."""
        if self._in_body:
            self._linger()
        else:
            self.transport.close()

    def _linger(self) -> None:
        """Tell the client that nothing more comes, and discard what it sends until it closes, too."""
        self._lingering = True
        with suppress(OSError):  # The client may have reset the connection, and asyncio does not know of it yet.
            if self.transport.can_write_eof():
                self.transport.write_eof()
        self._start_timer(LINGER_S, self.transport.close)

    def _linger_as_refused(self) -> None:
        if len(self.refused) < MAX_LINGERING:
            self.refused.add(self)
        else:
            self.transport.close()

    def _start_timer(self, after_s: float, callback: Callable[[], None]) -> None:
        self._stop_timer()
        self._timer = self.loop.call_later(after_s, callback)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
