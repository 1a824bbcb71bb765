"""Connections that are cut: those that never finish a request's head, or send more of it than anybody needs.

uvicorn's HTTP protocol has neither a time-out nor a limit for heads where httptools parses them, and takes as many
connections as there are descriptors, of which the jobs need some.
"""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import dataclass
from typing import Any, ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

__all__ = ["MAX_HEAD_BYTES", "ConnectionLimits", "connection_class"]

logger = logging.getLogger(__name__)

# Of the request line and all header fields; the usual servers take 8 to 64 KB.
MAX_HEAD_BYTES = 64 * 1024

_REASONS = {
    400: ("Bad Request", "this is not an HTTP request that can be understood"),
    408: ("Request Timeout", "the request's header fields came too slowly: send them at once"),
    431: ("Request Header Fields Too Large", f"the URL and header fields have more than {MAX_HEAD_BYTES} bytes"),
    503: ("Service Unavailable", "this server has as many connections as it takes: try again later"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionLimits:
    """`connections` at once. `head_secs`: from a connection's begin, or a further request's first byte, to the end of
    its header fields. `linger_secs`: how often a body that nobody reads is looked at; less than `linger_bytes` a
    second since then, and it is given up."""

    connections: int
    head_secs: float
    linger_secs: float
    linger_bytes: int


def connection_class(limits: ConnectionLimits) -> type[HttpToolsProtocol]:
    """For `uvicorn.Config(http=…)`, which makes one of each connection."""
    return type("Connection", (_Connection,), {"limits": limits})


class _Connection(HttpToolsProtocol):
    """Counts and times what comes; all else is uvicorn's."""

    limits: ClassVar[ConnectionLimits]

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._heard = False
        self._in_head = False
        self._in_body = False
        self._head_bytes = 0  # of packets, while no end of the head is in sight
        self._parsed_bytes = 0  # of what the parser made of them
        self._unread_bytes = 0
        self._refusal = 400
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        if len(self.connections) > self.limits.connections:
            self._refuse(503)
        else:
            self._head_begins()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        self._heard = True
        wholly_head = self._in_head
        if not self._in_head and not self._in_body:
            self._head_begins()  # before the parser says so: empty lines ahead of a request keep it waiting, too
        self._unread_bytes += len(data)
        super().data_received(data)
        if wholly_head and self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self._refuse(431)

    # The parser's callbacks

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if not self._in_head:  # another request in the same packet
            self._head_begins()

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

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._in_body = False

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._in_body and not self.transport.is_closing():
            # The answer came before the body's end. To close now could cost the sender the answer; so the rest is
            # received and thrown away, as long as it keeps coming.
            self._linger()

    def send_400_response(self, msg: str) -> None:
        self._refuse(self._refusal)

    # What is ours

    def _head_begins(self) -> None:
        self._in_head = True
        self._head_bytes = self._parsed_bytes = 0
        self._start_timer(self.limits.head_secs, self._head_timed_out)

    def _head_timed_out(self) -> None:
        if self.cycle is not None and not self.cycle.response_complete:
            # An answer is being worked on. Whatever comes ahead of its time must not cost it.
            self._start_timer(self.limits.head_secs, self._head_timed_out)
        elif self._heard:
            self._refuse(408)
        else:
            self.transport.close()  # opened ahead of need, as browsers do: nobody waits for an answer

    def _count_parsed(self, size_bytes: int) -> None:
        self._parsed_bytes += size_bytes
        if self._parsed_bytes > MAX_HEAD_BYTES:
            self._refusal = 431
            raise ValueError("too large")  # the parser stops, and asks for `send_400_response`

    def _linger(self) -> None:
        self._unread_bytes = 0
        self._start_timer(self.limits.linger_secs, self._lingered)

    def _lingered(self) -> None:
        if not self._in_body:
            return
        if self._unread_bytes <= self.limits.linger_secs * self.limits.linger_bytes:
            self.transport.close()
        else:
            self._linger()

    def _refuse(self, status: int) -> None:
        self._stop_timer()
        reason, message = _REASONS[status]
        logger.info("connection refused", extra={"status": status, "client": self.client and self.client[0]})
        body = json.dumps({"error": message}).encode()
        head = f"HTTP/1.1 {status} {reason}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        more = "X-Content-Type-Options: nosniff\r\n" + ("Retry-After: 5\r\n" if status == 503 else "")
        self.transport.write(f"{head}{more}Connection: close\r\n\r\n".encode() + body)
        self.transport.close()

    def _start_timer(self, after_s: float, then: Any) -> None:
        self._stop_timer()
        self._timer = self.loop.call_later(after_s, then)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
