"""An answer that is large, and has its parts already."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

__all__ = ["PartsResponse"]


class PartsResponse(Response):
    """The body is given in parts that are never joined: that would hold all others up while megabytes are copied."""

    def __init__(self, parts: Sequence[bytes], *, media_type: str) -> None:
        size_bytes = sum(map(len, parts))
        super().__init__(media_type=media_type, headers={"content-length": str(size_bytes)})
        self._parts = parts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        for part in self._parts:
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
