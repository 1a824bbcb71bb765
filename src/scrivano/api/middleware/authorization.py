"""Who may come in: API keys, their scopes and limits, ahead of every route. Routes learn who asks from `Services`."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from scrivano.api.errors import answer, problem_of
from scrivano.api.rules import is_open, is_stream, needed
from scrivano.auth.key_ring import KeyRing
from scrivano.auth.keys import Caller, Key
from scrivano.auth.rate_limiter import RateLimiter
from scrivano.domain.errors import LimitReached, NoKey, NotAllowed, ScrivanoError

__all__ = ["Access", "key_shown"]

logger = logging.getLogger(__name__)

# When to come back, where a limit ends only with something that somebody else ends.
STREAM_RETRY_S = 30


class Access:
    """ASGI middleware. Puts the `Caller` into the request's state, or answers instead of the routes."""

    def __init__(self, app: ASGIApp, ring: KeyRing, limiter: RateLimiter) -> None:
        self._app = app
        self._ring = ring
        self._limiter = limiter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or is_open(scope["path"]):
            await self._app(scope, receive, send)
            return
        try:
            key = self._admitted(scope)
            with self._stream(scope, key) as streaming:
                scope.setdefault("state", {})["caller"] = Caller.with_key(key)
                if streaming:
                    await _Revocable(self._ring, key, receive, send).run(self._app, scope)
                else:
                    await self._app(scope, receive, _privately(send))
        except _Refused as refused:
            await answer(scope["path"], problem_of(refused.error))(scope, receive, send)

    def _admitted(self, scope: Scope) -> Key:
        """Raises `_Refused`."""
        secret = key_shown(Headers(scope=scope))
        key = self._ring.find(secret) if secret else None
        if key is None:
            client = scope.get("client") or ("unknown",)
            logger.info("refused: no key that is known here", extra={"client": client[0], "path": scope["path"]})
            raise _Refused(NoKey(shown=bool(secret)))
        wait_s = self._limiter.take(key.id, key.limits.requests_per_minute)
        if wait_s:
            allowed = f"this API key may make {key.limits.requests_per_minute} requests a minute"
            raise _Refused(LimitReached(f"{allowed}; come back after Retry-After seconds", math.ceil(wait_s)))
        scopes = needed(scope["method"], scope["path"])
        if not key.may(scopes):
            raise _Refused(NotAllowed(sorted(scopes)))
        return key

    @contextmanager
    def _stream(self, scope: Scope, key: Key) -> Iterator[bool]:
        """Whether the request is for a stream, which is then counted as long as it goes on. Raises `_Refused`."""
        if not is_stream(scope["method"], scope["path"]):
            yield False
            return
        if not self._limiter.open_stream(key.id, key.limits.streams):
            message = f"this API key may have {key.limits.streams} event streams open; close one, or come back later"
            raise _Refused(LimitReached(message, STREAM_RETRY_S))
        try:
            yield True
        finally:
            self._limiter.close_stream(key.id)


class _Refused(Exception):
    """Told apart from what the routes themselves raise."""

    def __init__(self, error: ScrivanoError) -> None:
        self.error = error


def key_shown(headers: Headers) -> str | None:
    """The secret that a request comes with. `X-API-Key` goes first: `Authorization` may be somebody else's, such as a
    proxy's, and many OpenAI clients always fill it in."""
    if own := headers.get("x-api-key"):
        return own.strip()
    kind, _, secret = headers.get("authorization", "").partition(" ")
    return secret.strip() if kind.lower() == "bearer" else None


class _Revocable:
    """One stream, which ends when its key is revoked: it would go on for hours otherwise."""

    def __init__(self, ring: KeyRing, key: Key, receive: Receive, send: Send) -> None:
        self._ring = ring
        self._key = key
        self._receive = receive
        self._send = send
        self._open = False
        self._body_read = False

    async def run(self, app: ASGIApp, scope: Scope) -> None:
        await app(scope, self._received, self._sent)
        if self._open:
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _received(self) -> Message:
        """What comes from the client, or its disconnection, which a revoked key is to the route."""
        if not self._body_read:
            message = await self._receive()
            self._body_read = not message.get("more_body", False)
            return message
        coming = asyncio.ensure_future(self._receive())
        revoked = asyncio.ensure_future(self._ring.changed(self._key))
        try:
            await asyncio.wait((coming, revoked), return_when=asyncio.FIRST_COMPLETED)
            return coming.result() if coming.done() else {"type": "http.disconnect"}
        finally:
            coming.cancel()
            revoked.cancel()

    async def _sent(self, message: Message) -> None:
        self._open = message["type"] == "http.response.start" or message.get("more_body", False)
        await self._send(message)


def _privately(send: Send) -> Send:
    """What is one key's, no shared cache may keep: it does not know that `X-API-Key` tells callers apart."""

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).setdefault("Cache-Control", "private")
        await send(message)

    return sent
