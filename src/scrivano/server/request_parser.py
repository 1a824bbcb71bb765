"""An HTTP/1.1 parser that ignores `Upgrade`, as a server does that keeps the protocol of the connection.

httptools ends a request whose client offers to change the protocol at its header fields, as if it had no body. Java's
`HttpClient` offers HTTP/2 (`Upgrade: h2c`) with the first request of each connection, also with an upload.
"""

from __future__ import annotations

from typing import Protocol

import httptools

__all__ = ["Callbacks", "RequestParser"]


class Callbacks(Protocol):
    """What is called while a request is parsed, as in httptools."""

    def on_message_begin(self) -> None: ...
    def on_url(self, url: bytes) -> None: ...
    def on_header(self, name: bytes, value: bytes) -> None: ...
    def on_headers_complete(self) -> None: ...
    def on_body(self, body: bytes) -> None: ...
    def on_message_complete(self) -> None: ...


class RequestParser:
    """Has the methods of `httptools.HttpRequestParser` that uvicorn calls."""

    def __init__(self, callbacks: Callbacks) -> None:
        self._callbacks = callbacks
        self._url = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._offers_upgrade = False
        self._repeated = False  # The head is parsed for the second time.
        self._parser = self._new_parser()

    def _new_parser(self) -> httptools.HttpRequestParser:
        parser = httptools.HttpRequestParser(self)
        # As in uvicorn: a request may follow one with `Connection: close` in the same packet.
        parser.set_dangerous_leniencies(lenient_data_after_close=True)
        return parser

    def feed_data(self, data: bytes) -> None:
        """Raises `httptools.HttpParserError`; `HttpParserUpgrade` after the method CONNECT."""
        while True:
            try:
                self._parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                if not self._offers_upgrade:
                    raise
                data = data[upgrade.args[0] :]
                self._parse_again()
            else:
                return

    def _parse_again(self) -> None:
        """Parse the head as it would be without the offer. Its body, and later requests, follow in the same parser."""
        head = [self._parser.get_method() + b" " + self._url + b" HTTP/" + self._parser.get_http_version().encode()]
        head += [name + b": " + value for name, value in self._headers if name.lower() != b"upgrade"]
        self._parser, self._offers_upgrade, self._repeated = self._new_parser(), False, True
        self._parser.feed_data(b"\r\n".join(head) + b"\r\n\r\n")

    def get_http_version(self) -> str:
        return self._parser.get_http_version()

    def get_method(self) -> bytes:
        return self._parser.get_method()

    def should_keep_alive(self) -> bool:
        return self._parser.should_keep_alive()

    def should_upgrade(self) -> bool:
        return False

    # Callbacks of httptools

    def on_message_begin(self) -> None:
        if not self._repeated:
            self._url, self._headers = b"", []
            self._callbacks.on_message_begin()

    def on_url(self, url: bytes) -> None:
        if not self._repeated:
            self._url += url
            self._callbacks.on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._repeated:
            self._headers.append((name, value))
            self._callbacks.on_header(name, value)

    def on_headers_complete(self) -> None:
        self._offers_upgrade = self._parser.should_upgrade() and self._parser.get_method() != b"CONNECT"
        self._repeated = False
        if not self._offers_upgrade:
            self._callbacks.on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._callbacks.on_body(body)

    def on_message_complete(self) -> None:
        if not self._offers_upgrade:
            self._callbacks.on_message_complete()
