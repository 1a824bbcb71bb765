"""A request that offers to change the protocol is parsed like any other."""

from __future__ import annotations

import httptools
import pytest

from scrivano.server.request_parser import RequestParser

OFFER = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"


class Recorded:
    """The requests that were parsed: method, URL, header fields without the offer, body."""

    def __init__(self) -> None:
        self.parser = RequestParser(self)
        self.requests: list[tuple[bytes, bytes, list[bytes], bytes]] = []
        self.events: list[str] = []
        self.keep_alive = True
        self._url, self._names, self._body = b"", list[bytes](), b""

    def on_message_begin(self) -> None:
        self.events.append("begin")
        self._url, self._names, self._body = b"", [], b""

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._names.append(name.lower())

    def on_headers_complete(self) -> None:
        self.events.append("headers")
        self.keep_alive = self.parser.should_keep_alive()

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        self.events.append("complete")
        self.requests.append((self.parser.get_method(), self._url, self._names, self._body))


def parsed(data: bytes, step: int) -> Recorded:
    recorded = Recorded()
    for start in range(0, len(data), step):
        recorded.parser.feed_data(data[start : start + step])
    return recorded


@pytest.mark.parametrize("step", [1, 7, 10_000])
@pytest.mark.parametrize("offer", [OFFER, b"Connection: upgrade\r\nUpgrade: websocket\r\n", b"Upgrade: h2c\r\n", b""])
def test_the_body_and_later_requests_are_received(offer: bytes, step: int) -> None:
    upload = b"POST /jobs?x=1 HTTP/1.1\r\nHost: a\r\n" + offer + b"Content-Length: 5\r\n\r\nhello"
    chunked = b"POST /asr HTTP/1.1\r\n" + offer + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    get = b"GET /health HTTP/1.1\r\n" + offer + b"\r\n"

    recorded = parsed(upload + chunked + get + get, step)

    assert [(method, url, body) for method, url, _, body in recorded.requests] == [
        (b"POST", b"/jobs?x=1", b"hello"), (b"POST", b"/asr", b"abc"), (b"GET", b"/health", b""),
        (b"GET", b"/health", b""),
    ]  # fmt: skip
    assert recorded.events == ["begin", "headers", "complete"] * 4
    assert recorded.requests[0][2].count(b"host") == recorded.requests[0][2].count(b"content-length") == 1


def test_an_offer_does_not_change_whether_the_connection_stays() -> None:
    last = b"GET / HTTP/1.1\r\nConnection: close, Upgrade\r\nUpgrade: h2c\r\n\r\n"

    assert not parsed(last, 1000).keep_alive
    assert parsed(b"GET / HTTP/1.1\r\n" + OFFER + b"\r\n", 1000).keep_alive


def test_what_is_no_http_is_an_error_behind_an_offer_too() -> None:
    with pytest.raises(httptools.HttpParserError):
        parsed(b"GET / HTTP/1.1\r\n" + OFFER + b"\r\nnonsense\r\n\r\n", 1000)
