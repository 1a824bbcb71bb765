"""How slowly, and how much, a body may come. Both are for requests of any route."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from scrivano.api.errors import answer, problem_of
from scrivano.api.rules import takes_recording
from scrivano.domain.errors import ScrivanoError, TooLarge, UploadStalled

__all__ = ["ANY_PACE", "MAX_SMALL_BYTES", "LimitedBodies", "Pace", "Patience"]

# Of a body that brings no recording: those are read into memory.
MAX_SMALL_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Pace:
    """A sender may be silent for `idle_secs`, and on the whole must not be slower than `bytes_per_sec` (0: any)."""

    idle_secs: float = math.inf
    bytes_per_sec: float = 0


ANY_PACE = Pace()


class Patience:
    """Seconds that may still be waited for a body. Waiting uses them up, bytes bring them back, `idle_secs` at most:
    so whoever sends a byte now and then is given up like whoever sends nothing."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self.left_s = pace.idle_secs

    def spend(self, waited_s: float, size_bytes: int) -> None:
        rate = self._pace.bytes_per_sec
        earned_s = size_bytes / rate if rate else math.inf if size_bytes else 0.0
        self.left_s = min(self.left_s - waited_s + earned_s, self._pace.idle_secs)


class LimitedBodies:
    """ASGI middleware. To the route, a sender that is given up has gone; the answer (408, 413) is given here."""

    def __init__(self, app: ASGIApp, pace: Pace) -> None:
        self._app = app
        self._pace = pace

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = _Body(self._pace, scope, receive, send)
        try:
            await self._app(scope, body.receive, body.send)
        except ClientDisconnect:
            if not body.refused:
                raise


class _Body:
    """Only what is waited for counts: while the server itself is busy, the sender may be as well."""

    def __init__(self, pace: Pace, scope: Scope, receive: Receive, send: Send) -> None:
        self.refused = False
        self._patience = Patience(pace)
        self._room_bytes = math.inf if takes_recording(scope["method"], scope["path"]) else MAX_SMALL_BYTES
        self._scope = scope
        self._receive = receive
        self._send = send
        self._answered = False
        self._ended = False

    async def receive(self) -> Message:
        if self._ended:
            return {"type": "http.disconnect"} if self.refused else await self._receive()
        began = asyncio.get_running_loop().time()
        left_s = None if self._patience.left_s == math.inf else max(0.0, self._patience.left_s)
        try:
            async with asyncio.timeout(left_s):
                message = await self._receive()
        except TimeoutError:
            return await self._refuse(UploadStalled())
        size_bytes = len(message.get("body", b""))
        self._patience.spend(asyncio.get_running_loop().time() - began, size_bytes)
        self._room_bytes -= size_bytes
        if self._room_bytes < 0:
            return await self._refuse(TooLarge(f"this body may have {MAX_SMALL_BYTES} bytes; send less"))
        self._ended = not message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        self._answered = True
        if not self.refused:
            await self._send(message)

    async def _refuse(self, error: ScrivanoError) -> Message:
        self._ended = True
        if not self._answered:
            self.refused = True
            await answer(self._scope["path"], problem_of(error))(self._scope, self._receive, self._send)
        return {"type": "http.disconnect"}
