"""The id, the log line, the metrics and the trace span of every request."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from scrivano.api.routing import policy_of, template_of
from scrivano.telemetry.events import Emit, RequestEnded, StreamClosed, StreamOpened
from scrivano.telemetry.log_context import LOG_CONTEXT, LogContext, valid_request_id

__all__ = ["RequestSpan", "RequestTelemetry", "RequestTelemetryOptions", "StartSpan"]

logger = logging.getLogger(__name__)

REQUEST_ID_HEADER = "X-Request-Id"

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
# Stands for methods and paths that this server does not have: a client must not be able to create metrics.
OTHER = "other"

# The client disconnected before a response started; nginx logs this status for it.
CLIENT_GONE = 499


class RequestSpan(Protocol):
    """The trace span of a request. `traceparent`: its W3C Trace Context."""

    @property
    def traceparent(self) -> str | None: ...

    def end(self, route: str, status: int, job_id: str | None) -> None: ...


# Takes a method and the `traceparent` header of the request.
StartSpan = Callable[[str, str | None], RequestSpan]


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestTelemetryOptions:
    """`log`: write one line for each request. `start_span` None: requests are not traced."""

    emit: Emit
    new_id: Callable[[], str]
    log: bool = True
    start_span: StartSpan | None = None


class RequestTelemetry:
    """ASGI middleware. Event streams pass through unbuffered."""

    def __init__(self, app: ASGIApp, options: RequestTelemetryOptions) -> None:
        self._app = app
        self._options = options

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        current = LogContext(valid_request_id(headers.get(REQUEST_ID_HEADER)) or self._options.new_id())
        span = None
        if self._options.start_span is not None and not policy_of(scope).probe:
            span = self._options.start_span(scope["method"], headers.get("traceparent"))
            current.traceparent = span.traceparent
        request = _Request(scope, current, span)
        token = LOG_CONTEXT.set(current)
        try:
            await self._app(scope, receive, self._recording(send, request))
        except BaseException:
            request.status = request.status or 500
            raise
        finally:
            self._record_end(request)
            LOG_CONTEXT.reset(token)

    def _recording(self, send: Send, request: _Request) -> Send:
        async def recording(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers[REQUEST_ID_HEADER] = request.current.request_id or ""
                request.status = message["status"]
                # Not the route's `event_stream`: `stream=true` of OpenAI's routes makes a stream of one response.
                if headers.get("content-type", "").startswith("text/event-stream"):
                    request.stream = True
                    self._options.emit(StreamOpened())
            await send(message)

        return recording

    def _record_end(self, request: _Request) -> None:
        duration_s = time.monotonic() - request.started_at
        method, route = request.method, request.route
        status = request.status or CLIENT_GONE
        if request.stream:
            self._options.emit(StreamClosed())
        request.current.job_id = request.current.job_id or request.job_id
        self._options.emit(RequestEnded(method, route, status, duration_s, request.stream))
        if request.span is not None:
            request.span.end(route, status, request.current.job_id)
        if self._options.log:
            level = logging.DEBUG if request.probe and status < 500 else logging.INFO
            about = {"method": method, "route": route, "status": status, "duration_ms": round(duration_s * 1000, 1)}
            logger.log(level, "request", extra=about)


class _Request:
    def __init__(self, scope: Scope, current: LogContext, span: RequestSpan | None) -> None:
        self._scope = scope
        self.current = current
        self.span = span
        self.started_at = time.monotonic()
        self.status = 0
        self.stream = False

    @property
    def probe(self) -> bool:
        return policy_of(self._scope).probe

    @property
    def method(self) -> str:
        method: str = self._scope["method"]
        return method if method in METHODS else OTHER

    @property
    def job_id(self) -> str | None:
        """The `job_id` in the path."""
        job_id: str | None = self._scope.get("path_params", {}).get("job_id")
        return job_id

    @property
    def route(self) -> str:
        """The path template, such as `/jobs/{job_id}`."""
        return template_of(self._scope) or OTHER
