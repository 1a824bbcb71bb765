"""How slowly a request body may arrive, and how large it may be."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from scrivano.api.errors import error_response, problem_of
from scrivano.api.routing import ErrorFormat, policy_of
from scrivano.domain.errors import ScrivanoError, TooLarge, UploadStalled, UploadStopped

__all__ = ["ANY_RATE", "BodyLimits", "BodyRate", "Uploading"]

# Limit for bodies without a recording: they are read into memory.
MAX_SMALL_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class BodyRate:
    """A client may pause for `idle_s`, and must send `bytes_per_s` on average (0: any rate)."""

    idle_s: float = math.inf
    bytes_per_s: float = 0


ANY_RATE = BodyRate()


class Uploading:
    """The uploads that are arriving. Use it on the event loop only."""

    def __init__(self) -> None:
        self._stopped = False
        self._bodies: set[_Body] = set()

    def stop(self) -> None:
        """Refuse these uploads and all later ones with 503, because the server is stopping."""
        self._stopped = True
        for body in self._bodies:
            body.stop()

    @contextmanager
    def track(self, body: _Body) -> Iterator[None]:
        self._bodies.add(body)
        if self._stopped:
            body.stop()
        try:
            yield
        finally:
            self._bodies.discard(body)


class BodyLimits:
    """ASGI middleware. For the route, a client beyond a limit has disconnected; this sends the response (408, 413, or
    503 while the server stops)."""

    def __init__(self, app: ASGIApp, rate: BodyRate, uploading: Uploading) -> None:
        self._app = app
        self._rate = rate
        self._uploading = uploading

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body, policy = _Body(self._rate, scope, receive, send), policy_of(scope)
        # A resumable upload ends by itself when the server stops: it keeps what has arrived, and its response says so.
        refused_at_stop = policy.takes_recording and policy.errors is not ErrorFormat.TUS
        try:
            with self._uploading.track(body) if refused_at_stop else nullcontext():
                await self._app(scope, body.receive, body.send)
        except ClientDisconnect:
            if not body.refused:
                raise


class _Body:
    """One request's body.

    Waiting for bytes uses up the allowed time; bytes that arrive restore it, up to `idle_s`. So a client that sends
    one byte now and then is refused like a client that sends nothing. Only the time in `receive` counts: while the
    server itself is busy, the client may pause.
    """

    def __init__(self, rate: BodyRate, scope: Scope, receive: Receive, send: Send) -> None:
        self.refused = False
        self._rate = rate
        self._wait_left_s = rate.idle_s
        self._bytes_left = math.inf if policy_of(scope).takes_recording else MAX_SMALL_BYTES
        self._scope = scope
        self._receive = receive
        self._send = send
        self._response_started = False
        self._complete = False
        self._stopped = False
        self._timeout: asyncio.Timeout | None = None

    def stop(self) -> None:
        self._stopped = True
        if self._timeout is not None:
            self._timeout.reschedule(asyncio.get_running_loop().time())

    async def receive(self) -> Message:
        if self._complete:
            return {"type": "http.disconnect"} if self.refused else await self._receive()
        if self._stopped:
            return await self._refuse(UploadStopped())
        started_at = asyncio.get_running_loop().time()
        timeout_s = None if self._wait_left_s == math.inf else max(0.0, self._wait_left_s)
        try:
            async with asyncio.timeout(timeout_s) as self._timeout:
                message = await self._receive()
        except TimeoutError:
            return await self._refuse(UploadStopped() if self._stopped else UploadStalled())
        finally:
            self._timeout = None
        size_bytes = len(message.get("body", b""))
        self._update_wait(asyncio.get_running_loop().time() - started_at, size_bytes)
        self._bytes_left -= size_bytes
        if self._bytes_left < 0:
            return await self._refuse(TooLarge(f"this body may have {MAX_SMALL_BYTES} bytes; send less"))
        self._complete = not message.get("more_body", False)
        return message

    def _update_wait(self, waited_s: float, size_bytes: int) -> None:
        any_rate_s = math.inf if size_bytes else 0.0
        restored_s = size_bytes / self._rate.bytes_per_s if self._rate.bytes_per_s else any_rate_s
        self._wait_left_s = min(self._wait_left_s - waited_s + restored_s, self._rate.idle_s)

    async def send(self, message: Message) -> None:
        self._response_started = True
        if not self.refused:
            await self._send(message)

    async def _refuse(self, error: ScrivanoError) -> Message:
        """After the start of a response, disconnecting is all that can be done."""
        self._complete = True
        if not self._response_started:
            self.refused = True
            response = error_response(policy_of(self._scope).errors, problem_of(error))
            await response(self._scope, self._receive, self._send)
        return {"type": "http.disconnect"}
