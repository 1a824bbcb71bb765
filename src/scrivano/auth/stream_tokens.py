"""Stream tokens: they stand for a key in a URL, for a few minutes and for one thing. Pure except for the clock.

Browsers open event streams (`EventSource`) and recordings (`<audio>`) without headers, and a key must never be in a
URL.
A token is signed, not stored: `sct_<key id>.<Unix time of its end>.<HMAC-SHA256 of both and of the paths>`.
"""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from scrivano.domain.errors import InvalidStreamToken

__all__ = ["DEFAULT_LIFE_S", "MAX_LIFE_S", "MIN_LIFE_S", "StreamToken", "StreamTokens"]

# Lets people and secret scanners recognise one.
PREFIX = "sct_"

DEFAULT_LIFE_S = 600
MIN_LIFE_S = 10
MAX_LIFE_S = 3600

_FORM = re.compile(r"sct_(?P<key_id>[a-z0-9]{0,32})\.(?P<end>\d{1,12})\.(?P<mac>[\w-]{43})", re.ASCII)


@dataclass(frozen=True, slots=True)
class StreamToken:
    text: str
    expires_at: datetime


class StreamTokens:
    """`secret` signs the tokens: tokens of another secret are invalid. `now` returns aware datetimes."""

    def __init__(self, secret: bytes, now: Callable[[], datetime]) -> None:
        self._secret = secret
        self._now = now

    def issue(self, key_id: str, paths: str, life_s: int = DEFAULT_LIFE_S) -> StreamToken:
        """A token of this key for all paths that start with `paths`. `key_id` empty: the server has no keys."""
        expires_at = (self._now() + timedelta(seconds=life_s)).astimezone(UTC).replace(microsecond=0)
        end = int(expires_at.timestamp())
        return StreamToken(f"{PREFIX}{key_id}.{end}.{self._mac(key_id, end, paths)}", expires_at)

    def key_id(self, token: str, path: str) -> str:
        """The id of the key that this token stands for on this path. Raises `InvalidStreamToken`."""
        found = _FORM.fullmatch(token)
        if found is None or not any(self._matches(found, paths) for paths in _prefixes(path)):
            raise InvalidStreamToken("is not valid here")
        if int(found["end"]) <= self._now().timestamp():
            raise InvalidStreamToken("has expired")
        return found["key_id"]

    def _matches(self, found: re.Match[str], paths: str) -> bool:
        return hmac.compare_digest(found["mac"], self._mac(found["key_id"], int(found["end"]), paths))

    def _mac(self, key_id: str, end: int, paths: str) -> str:
        digest = hmac.digest(self._secret, f"{key_id}\n{end}\n{paths}".encode(), "sha256")
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def _prefixes(path: str) -> tuple[str, str]:
    """What a token for this path may be bound to: the path itself, or its folder."""
    return path, path[: path.rfind("/") + 1]
