"""Server-Sent Events: the head of a stream."""

from __future__ import annotations

from collections.abc import AsyncIterator

from scrivano.api.sse import respond


async def _nothing() -> AsyncIterator[bytes]:
    return
    yield b""


def test_a_stream_leaves_the_connection_to_the_http_server() -> None:
    assert "connection" not in respond(_nothing()).headers
