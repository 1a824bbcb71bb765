"""A response whose body is in several pieces already."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

__all__ = ["ChunkedResponse"]

# Up to this size, joining the chunks costs less than a system call for each.
JOIN_BYTES = 64 * 1024


class ChunkedResponse(Response):
    """JSON in chunks. Large ones are not joined: copying megabytes would block the event loop."""

    media_type = "application/json"

    def __init__(self, chunks: Sequence[bytes], status: int = 200) -> None:
        size_bytes = sum(map(len, chunks))
        super().__init__(status_code=status, headers={"content-length": str(size_bytes)})
        self._chunks = [b"".join(chunks)] if size_bytes <= JOIN_BYTES else chunks

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        *all_but_last, last = self._chunks
        for chunk in all_but_last:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": last})
