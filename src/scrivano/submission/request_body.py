"""A request's body as a protocol hands it over: a value without a web framework."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

__all__ = ["BodyInterrupted", "RequestBody", "parse_size_bytes"]

# Numbers of at most 18 digits fit into the 64-bit integers of every database.
MAX_DIGITS = 18


class BodyInterrupted(Exception):
    """The connection ended before the body did. `RequestBody.chunks` raises it."""


@dataclass(frozen=True, slots=True)
class RequestBody:
    """`size_bytes`: the announced length (`Content-Length`); None if the body has no announced length."""

    content_type: str
    size_bytes: int | None
    chunks: AsyncIterator[bytes]


def parse_size_bytes(text: str) -> int | None:
    """A number of bytes from a header; None if the text is not one."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS else None
