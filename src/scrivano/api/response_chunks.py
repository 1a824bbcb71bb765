"""An answer that is large, and has its parts already."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

__all__ = ["PartsResponse"]

SMALL_BYTES = 64 * 1024


class PartsResponse(Response):
    """The body is given in parts. Those of a large one are never joined: that would hold all others up while megabytes
    are copied. Of a small one, each would cost a system call."""

    def __init__(self, parts: Sequence[bytes], *, media_type: str) -> None:
        size_bytes = sum(map(len, parts))
        super().__init__(media_type=media_type, headers={"content-length": str(size_bytes)})
        self._parts = [b"".join(parts)] if size_bytes <= SMALL_BYTES else parts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        *all_but_last, last = self._parts
        for part in all_but_last:
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": last})
