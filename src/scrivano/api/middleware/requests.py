"""Around every request: its id, its line in the log, its figures. Plain ASGI, so that streams pass as they come."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Protocol

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from scrivano.telemetry.events import Emit, RequestEnded, StreamClosed, StreamOpened
from scrivano.telemetry.log_context import LOG_CONTEXT, LogContext, valid_request_id

__all__ = ["REQUEST_ID_HEADER", "RequestSpan", "Requests", "StartSpan"]

logger = logging.getLogger(__name__)

REQUEST_ID_HEADER = "X-Request-Id"

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
# A client may invent methods and paths; figures do not follow it.
OTHER = "other"

# Asked every few seconds, and of no interest while they answer.
PROBES = frozenset({"/health", "/livez", "/readyz", "/metrics"})

# The client left before an answer began; nginx's number for it.
CLIENT_GONE = 499


class RequestSpan(Protocol):
    """A span that was begun for a request. `traceparent`: how others name it."""

    @property
    def traceparent(self) -> str | None: ...

    def end(self, route: str, status: int, job_id: str | None) -> None: ...


# Of a method and the `traceparent` that came with the request.
StartSpan = Callable[[str, str | None], RequestSpan]


class Requests:
    """`log`: whether each request has a line of its own. `start_span` None: nobody traces."""

    def __init__(
        self, app: ASGIApp, emit: Emit, new_id: Callable[[], str], *, log: bool, start_span: StartSpan | None
    ) -> None:
        self._app = app
        self._emit = emit
        self._new_id = new_id
        self._log = log
        self._start_span = start_span

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        current = LogContext(valid_request_id(headers.get(REQUEST_ID_HEADER)) or self._new_id())
        span = None
        if self._start_span is not None and scope["path"] not in PROBES:
            span = self._start_span(scope["method"], headers.get("traceparent"))
        if span is not None:
            current.traceparent = span.traceparent
        request = _Request(scope, current, span)
        token = LOG_CONTEXT.set(current)
        try:
            await self._app(scope, receive, self._counted(send, request))
        except BaseException:
            request.status = request.status or 500
            raise
        finally:
            self._ended(request)
            LOG_CONTEXT.reset(token)

    def _counted(self, send: Send, request: _Request) -> Send:
        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers[REQUEST_ID_HEADER] = request.current.request_id or ""
                request.status = message["status"]
                if headers.get("content-type", "").startswith("text/event-stream"):
                    request.stream = True
                    self._emit(StreamOpened())
            await send(message)

        return counted

    def _ended(self, request: _Request) -> None:
        secs = time.monotonic() - request.began
        method, route = request.method, request.route
        status = request.status or CLIENT_GONE
        if request.stream:
            self._emit(StreamClosed())
        request.current.job_id = request.current.job_id or request.job_id
        self._emit(RequestEnded(method, route, status, secs, request.stream))
        if request.span is not None:
            request.span.end(route, status, request.current.job_id)
        if self._log:
            level = logging.DEBUG if route in PROBES and status < 500 else logging.INFO
            about = {"method": method, "route": route, "status": status, "duration_ms": round(secs * 1000, 1)}
            logger.log(level, "request", extra=about)


class _Request:
    def __init__(self, scope: Scope, current: LogContext, span: RequestSpan | None) -> None:
        self._scope = scope
        self.current = current
        self.span = span
        self.began = time.monotonic()
        self.status = 0
        self.stream = False

    @property
    def method(self) -> str:
        method: str = self._scope["method"]
        return method if method in METHODS else OTHER

    @property
    def job_id(self) -> str | None:
        """Of the path."""
        job_id: str | None = self._scope.get("path_params", {}).get("job_id")
        return job_id

    @property
    def route(self) -> str:
        """As it is written in the code; known once the application has found it."""
        route = getattr(self._scope.get("route"), "path", None)
        return route if isinstance(route, str) else OTHER
