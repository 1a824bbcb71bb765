"""Recordings at a URL: fetched through the guard, a piece at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

import anyio
import httpx2

from scrivano.domain.errors import FetchFailed
from scrivano.net.guarded_transport import guarded_client

__all__ = ["Download", "Downloads"]

# A server that sends nothing for so long is given up.
SILENCE_S = 30.0


@dataclass(frozen=True, slots=True)
class Download:
    """`size_bytes`: as the other server announces it. `filename` is data, never a path."""

    filename: str | None
    size_bytes: int | None
    pieces: AsyncIterator[bytes]


class Downloads:
    """`transport` is a `GuardedTransport`; `timeout_s` is for one whole recording."""

    def __init__(self, transport: httpx2.AsyncBaseTransport, timeout_s: float) -> None:
        self._client = guarded_client(transport, SILENCE_S)
        self._timeout_s = timeout_s

    async def close(self) -> None:
        await self._client.aclose()

    @asynccontextmanager
    async def open(self, url: str) -> AsyncIterator[Download]:
        """A recording as it arrives; read it inside the block. Raises `AddressRefused`, `FetchFailed`."""
        try:
            with anyio.fail_after(self._timeout_s):
                # Unpacking is left out: a small answer could unpack to any size.
                async with self._client.stream("GET", url, headers={"Accept-Encoding": "identity"}) as response:
                    _check(response)
                    yield Download(filename_of(url), _announced_bytes(response), response.aiter_raw())
        except TimeoutError as error:
            raise FetchFailed(f"audio_url: the recording was not here after {self._timeout_s:g} s") from error
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise FetchFailed(f"audio_url cannot be fetched: {_said(error)}") from error


def filename_of(url: str) -> str | None:
    """The last part of the URL's path, unquoted; None where there is none."""
    return unquote(urlsplit(url).path).rpartition("/")[2] or None


def _check(response: httpx2.Response) -> None:
    if response.is_redirect:
        raise FetchFailed(
            f"audio_url answered {response.status_code}, a redirect, and redirects are not followed:"
            " give the URL of the recording itself"
        )
    if response.status_code != 200:
        raise FetchFailed(f"audio_url answered {response.status_code} instead of a recording")
    if response.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise FetchFailed("audio_url answered with a packed recording (Content-Encoding), unasked")


def _announced_bytes(response: httpx2.Response) -> int | None:
    text = response.headers.get("Content-Length", "")
    return int(text) if text.isascii() and text.isdigit() else None


def _said(error: Exception) -> str:
    """Some of these carry no text."""
    return str(error) or type(error).__name__
