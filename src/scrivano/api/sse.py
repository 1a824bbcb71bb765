"""Server-Sent Events: framing that the streams of jobs and of the model share."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import anyio
from sse_starlette import EventSourceResponse, ServerSentEvent

__all__ = ["PING_S", "frame", "own_connection", "parse_event_id", "respond"]

# When the server stops, a stream has this long to end by itself. Cutting it would be logged as an error.
SHUTDOWN_GRACE_S = 2

# A comment line this often keeps proxies from closing a quiet stream.
PING_S = 15


def respond(frames: AsyncIterator[ServerSentEvent | bytes]) -> EventSourceResponse:
    """A stream of `frames`, which must end by themselves when the server stops (`WakeUps.stopping`)."""
    return own_connection(
        EventSourceResponse(frames, ping=PING_S, shutdown_event=anyio.Event(), shutdown_grace_period=SHUTDOWN_GRACE_S)
    )


def own_connection(response: EventSourceResponse) -> EventSourceResponse:
    """Leave `Connection` to the HTTP server, which closes the connection if the request asks for that."""
    del response.headers["Connection"]
    return response


def frame(type: str, data: Mapping[str, Any], seq: int) -> ServerSentEvent:
    return ServerSentEvent(data=json.dumps(data, ensure_ascii=False), event=type, id=str(seq))


def parse_event_id(text: str | None) -> int | None:
    """The `seq` in a `Last-Event-ID`; None if the header is missing or not an id of this server."""
    if text is None or not text.isascii() or not text.isdigit() or len(text) > 18:
        return None
    return int(text)
