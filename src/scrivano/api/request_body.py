"""The body of a request, for `submission`, which does not depend on an HTTP library."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends, Request
from starlette.requests import ClientDisconnect

from scrivano.submission.request_body import BodyInterrupted, RequestBody, parse_size_bytes

__all__ = ["BodyDep"]


async def request_body(request: Request) -> RequestBody:
    """Async because FastAPI runs other dependencies in a thread."""
    headers = request.headers
    has_length = "transfer-encoding" not in headers
    size_bytes = parse_size_bytes(headers.get("content-length", "0")) if has_length else None
    return RequestBody(headers.get("content-type", ""), size_bytes, _chunks(request))


async def _chunks(request: Request) -> AsyncIterator[bytes]:
    try:
        async for chunk in request.stream():
            yield chunk
    except ClientDisconnect as error:
        raise BodyInterrupted from error


BodyDep = Annotated[RequestBody, Depends(request_body)]
