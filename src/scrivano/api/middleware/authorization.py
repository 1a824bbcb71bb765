"""API keys, their scopes and limits, checked before the route runs."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

from anyio.to_thread import run_sync
from starlette._utils import get_route_path
from starlette.datastructures import Headers, MutableHeaders, QueryParams
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from scrivano.api.errors import error_response, problem_of
from scrivano.api.routing import RoutePolicy, policy_of
from scrivano.auth.key_ring import KeyRing
from scrivano.auth.keys import Caller, Key
from scrivano.auth.keys import Scope as KeyScope
from scrivano.auth.rate_limiter import RateLimiter
from scrivano.auth.stream_tokens import StreamTokens
from scrivano.domain.errors import InvalidStreamToken, LimitReached, NoKey, NotAllowed, ScrivanoError
from scrivano.domain.wording import counted

__all__ = ["Authorization", "presented_key"]

logger = logging.getLogger(__name__)

# `Retry-After` of the limit on open streams: it ends when the client closes one, so any figure is a guess.
STREAM_RETRY_S = 30

# The query parameter of a stream token.
TOKEN_PARAMETER = "token"


class Authorization:
    """ASGI middleware. Puts the `Caller` into the request's state, or sends an error response instead of the route."""

    def __init__(
        self,
        app: ASGIApp,
        ring: KeyRing,
        tokens: StreamTokens,
        rate_limiter: RateLimiter,
        shared_take: Callable[[str, int], float] | None = None,
    ) -> None:
        """`shared_take`: counts the requests of a key at all servers; it blocks. None: this server counts its own."""
        self._app = app
        self._ring = ring
        self._tokens = tokens
        self._rate_limiter = rate_limiter
        self._shared_take = shared_take

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or (policy := policy_of(scope)).scopes is None:
            await self._app(scope, receive, send)
            return
        try:
            key = await self._authorize(scope, policy, policy.scopes)
            scope.setdefault("state", {})["caller"] = Caller.with_key(key)
            if policy.event_stream:
                with self._counted_stream(key):
                    await _RevocableStream(self._ring, key, receive, send).run(self._app, scope)
            else:
                await self._app(scope, receive, _private(send))
        except _Refused as refused:
            await error_response(policy.errors, problem_of(refused.error))(scope, receive, send)

    async def _authorize(self, scope: Scope, policy: RoutePolicy, scopes: Collection[KeyScope]) -> Key:
        """Raises `_Refused`."""
        try:
            key = self._find_key(scope, policy)
        except NoKey as error:
            client = scope.get("client") or ("unknown",)
            logger.info("request refused: no known API key", extra={"client": client[0], "path": scope["path"]})
            raise _Refused(error) from error
        wait_s = await self._take(key.id, key.limits.requests_per_minute)
        if wait_s:
            allowed = f"this API key may make {counted(key.limits.requests_per_minute or 0, 'request')} a minute"
            raise _Refused(LimitReached(f"{allowed}; try again after Retry-After seconds", math.ceil(wait_s)))
        if not key.may(scopes):
            raise _Refused(NotAllowed(sorted(scopes)))
        return key

    async def _take(self, key_id: str, per_minute: int | None) -> float:
        """Count a request; returns the seconds until it is allowed. Raises `_Refused`."""
        if per_minute is None or self._shared_take is None:
            return self._rate_limiter.take(key_id, per_minute)
        try:
            return await run_sync(self._shared_take, key_id, per_minute)
        except ScrivanoError as error:
            raise _Refused(error) from error

    def _find_key(self, scope: Scope, policy: RoutePolicy) -> Key:
        """Raises `NoKey`. A key in the header has precedence over a token in the query."""
        secret = presented_key(Headers(scope=scope))
        token = QueryParams(scope["query_string"]).get(TOKEN_PARAMETER) if policy.stream_token else None
        if not secret and token:
            key = self._ring.find_id(self._tokens.key_id(token, get_route_path(scope)))
            if key is None:
                raise InvalidStreamToken("is of an API key that was revoked")
            return key
        if not secret or (key := self._ring.find(secret)) is None:
            raise NoKey(shown=bool(secret))
        return key

    @contextmanager
    def _counted_stream(self, key: Key) -> Iterator[None]:
        """Raises `_Refused`."""
        if not self._rate_limiter.open_stream(key.id, key.limits.streams):
            message = f"this API key may have {key.limits.streams} event streams open; close one, or try again later"
            raise _Refused(LimitReached(message, STREAM_RETRY_S))
        try:
            yield
        finally:
            self._rate_limiter.close_stream(key.id)


class _Refused(Exception):
    """Distinct from errors that the routes raise."""

    def __init__(self, error: ScrivanoError) -> None:
        self.error = error


def presented_key(headers: Headers) -> str | None:
    """The API key of a request. `X-API-Key` has precedence: `Authorization` may be meant for a proxy, and many OpenAI
    clients always send it."""
    if own := headers.get("x-api-key"):
        return own.strip()
    kind, _, secret = headers.get("authorization", "").partition(" ")
    return secret.strip() if kind.lower() == "bearer" else None


class _RevocableStream:
    """An event stream that ends when its key is revoked; without this it could stay open for hours."""

    def __init__(self, ring: KeyRing, key: Key, receive: Receive, send: Send) -> None:
        self._ring = ring
        self._key = key
        self._receive = receive
        self._send = send
        self._body_open = False
        self._body_read = False

    async def run(self, app: ASGIApp, scope: Scope) -> None:
        await app(scope, self.receive, self.send)
        if self._body_open:
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def receive(self) -> Message:
        """The client's next message. To the route, a revoked key is a disconnection of the client."""
        if not self._body_read:
            message = await self._receive()
            self._body_read = not message.get("more_body", False)
            return message
        message_task = asyncio.ensure_future(self._receive())
        revocation_task = asyncio.ensure_future(self._ring.changed(self._key))
        try:
            await asyncio.wait((message_task, revocation_task), return_when=asyncio.FIRST_COMPLETED)
            return message_task.result() if message_task.done() else {"type": "http.disconnect"}
        finally:
            message_task.cancel()
            revocation_task.cancel()

    async def send(self, message: Message) -> None:
        self._body_open = message["type"] == "http.response.start" or message.get("more_body", False)
        await self._send(message)


def _private(send: Send) -> Send:
    """Keep responses out of shared caches, which do not know that they depend on `X-API-Key`."""

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).setdefault("Cache-Control", "private")
        await send(message)

    return sent
