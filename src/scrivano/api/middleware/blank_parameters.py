"""Blank parameters of the query count as left out, like blank fields of a form: clients send what a user left empty."""

from __future__ import annotations

from urllib.parse import unquote_to_bytes

from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = ["BlankParameters", "without_blank"]


class BlankParameters:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope["query_string"] = without_blank(scope["query_string"])
        await self._app(scope, receive, send)


def without_blank(query: bytes) -> bytes:
    """A parameter without `=` stays, because it may be meant as a flag; it is refused then, and not ignored."""
    return b"&".join(parameter for parameter in query.split(b"&") if not _is_blank(parameter))


def _is_blank(parameter: bytes) -> bool:
    _, equals, value = parameter.partition(b"=")
    return bool(equals) and not unquote_to_bytes(value.replace(b"+", b" ")).strip()
