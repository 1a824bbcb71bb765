"""Download a recording from a URL that a caller named, through the guarded transport and piece by piece."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

import anyio
import httpx2

from scrivano.domain.errors import FetchFailed
from scrivano.net.guarded_transport import guarded_client
from scrivano.submission.request_body import parse_size_bytes

__all__ = ["Download", "Downloads"]

# The download fails if the other server sends nothing for this long.
IDLE_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class Download:
    """`size_bytes`: as the other server announces it, None if it does not. `filename` is data, never a path."""

    filename: str | None
    size_bytes: int | None
    chunks: AsyncIterator[bytes]


class Downloads:
    """`transport` is a `GuardedTransport`; `timeout_s` is the limit for one whole recording."""

    def __init__(self, transport: httpx2.AsyncBaseTransport, timeout_s: float) -> None:
        self._client = guarded_client(transport, IDLE_TIMEOUT_S)
        self._timeout_s = timeout_s

    async def close(self) -> None:
        await self._client.aclose()

    @asynccontextmanager
    async def open(self, url: str) -> AsyncIterator[Download]:
        """A recording as it arrives; read it inside the block. Raises `AddressRefused`, `FetchFailed`."""
        try:
            with anyio.fail_after(self._timeout_s):
                # No compression: a small response could unpack to any size.
                async with self._client.stream("GET", url, headers={"Accept-Encoding": "identity"}) as response:
                    _check(response)
                    size_bytes = parse_size_bytes(response.headers.get("Content-Length", ""))
                    yield Download(filename_of(url), size_bytes, response.aiter_raw())
        except TimeoutError as error:
            raise FetchFailed(f"audio_url: the download was not complete after {self._timeout_s:g} s") from error
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            reason = str(error) or type(error).__name__  # some of these errors have no text
            raise FetchFailed(f"audio_url cannot be fetched: {reason}") from error


def filename_of(url: str) -> str | None:
    """The last part of the URL's path, unquoted; None if there is none."""
    return unquote(urlsplit(url).path).rpartition("/")[2] or None


def _check(response: httpx2.Response) -> None:
    """Raises `FetchFailed` unless the response is a whole recording."""
    if response.is_redirect:
        # Not followed: the guard checks the address of the URL that the caller named, and no other.
        raise FetchFailed(
            f"audio_url answered {response.status_code}, a redirect, and redirects are not followed:"
            " give the URL of the recording itself"
        )
    if response.status_code != 200:
        raise FetchFailed(f"audio_url answered {response.status_code} instead of a recording")
    if response.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise FetchFailed("audio_url answered with a compressed recording (Content-Encoding), which was not requested")
