"""API keys: what a key may do, how it is proved, and the file that they are kept in.

The file is JSON and holds no secret: of each key its SHA-256. A slow, salted hash is for passwords, which can be
guessed; a key is 256 random bits, of which nobody tries a noticeable share, so a plain hash gives nothing away, and a
request costs a microsecond instead of a tenth of a second.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import os
import secrets
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError

from scrivano.domain.errors import StartError

__all__ = [
    "ANYBODY",
    "UNLIMITED",
    "Caller",
    "Key",
    "Limits",
    "Scope",
    "add_key",
    "new_secret",
    "prove",
    "read_keys",
    "remove_key",
    "sha256_of",
]

# By which people, and scanners of repositories, see what a leaked string is.
PREFIX = "scv_"

SECRET_BYTES = 32


class Scope(StrEnum):
    """`SUBMIT`: send recordings; cancel, retry and delete jobs. `READ`: see jobs, transcripts, recordings, events.
    `ADMIN`: all of that with everybody's jobs, and what concerns all, such as loading the model."""

    SUBMIT = "submit"
    READ = "read"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a key may use. None: without a limit. `jobs` are those that have not ended; `audio_hours_per_day` counts
    audio that was decoded in the last 24 hours; `streams` are open Server-Sent Event streams."""

    requests_per_minute: Annotated[int, Field(ge=1)] | None = None
    jobs: Annotated[int, Field(ge=1)] | None = None
    audio_hours_per_day: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    streams: Annotated[int, Field(ge=1)] | None = None


UNLIMITED = Limits()


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """`id` is what its jobs are known by; it is never used again. `sha256` is of the secret, in hexadecimal."""

    id: Annotated[str, Field(pattern=r"^[a-z0-9]{1,32}$")]
    name: Annotated[str, Field(min_length=1, max_length=100)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    scopes: frozenset[Scope]
    created_at: datetime
    limits: Limits = UNLIMITED

    def may(self, scopes: Iterable[Scope]) -> bool:
        """Whether it has one of these; an admin's key may do everything."""
        return Scope.ADMIN in self.scopes or not self.scopes.isdisjoint(scopes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who asks. `owner` is the key whose jobs are made, None: nobody's. `sees` is the key whose jobs are seen, None:
    everybody's."""

    owner: str | None = None
    sees: str | None = None
    limits: Limits = UNLIMITED

    @classmethod
    def with_key(cls, key: Key) -> Caller:
        return cls(owner=key.id, sees=None if Scope.ADMIN in key.scopes else key.id, limits=key.limits)


# The caller of a server without keys.
ANYBODY = Caller()


def new_secret() -> str:
    return PREFIX + secrets.token_urlsafe(SECRET_BYTES)


def sha256_of(secret: str) -> str:
    return hashlib.sha256(secret.encode(errors="surrogateescape")).hexdigest()


def prove(keys: Mapping[str, Key], secret: str) -> Key | None:
    """The key of this secret, among keys by their `sha256`.

    What the look-up's time tells is of the hash, of which no caller chooses a part; the comparison that decides takes
    the same time always.
    """
    digest = sha256_of(secret)
    key = keys.get(digest)
    return key if key is not None and hmac.compare_digest(key.sha256, digest) else None


# The file -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    version: Annotated[int, Field(ge=1, le=1)]
    keys: tuple[Key, ...]


def read_keys(path: Path) -> tuple[Key, ...]:
    """Raises `StartError` with what is wrong with the file, and nothing of what is in it."""
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise StartError(f"there is no file of API keys {path}: make one with `scrivano keys create`") from error
    except OSError as error:
        raise StartError(f"cannot read the API keys in {path} ({error.strerror})") from error
    try:
        keys = _FORM.validate_json(data).keys
    except ValidationError as error:
        detail = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(map(str, detail["loc"])) or "the file"
        raise StartError(f"{path} is not a file of API keys: {where}: {detail['msg']}") from error
    for names in ([key.id for key in keys], [key.name for key in keys], [key.sha256 for key in keys]):
        if len(set(names)) < len(names):
            raise StartError(f"{path} is not a file of API keys: two of them have the same id, name or secret")
    return keys


def add_key(path: Path, name: str, scopes: Iterable[Scope], limits: Limits, now: datetime) -> tuple[Key, str]:
    """Make a key; returns it and its secret, which is kept nowhere. The file is made if needed.

    Raises `StartError` where the name is taken, or the file cannot be read or written.
    """
    secret = new_secret()
    key = Key(
        id=secrets.token_hex(6),
        name=name,
        sha256=sha256_of(secret),
        scopes=frozenset(scopes),
        created_at=now.astimezone(UTC).replace(microsecond=0),
        limits=limits,
    )
    with _changing(path) as real:
        keys = read_keys(real) if real.exists() else ()
        if any(one.name == name for one in keys):
            raise StartError(f"there is a key named {name} already: revoke it first, or take another name")
        _write(real, (*keys, key))
    return key, secret


def remove_key(path: Path, which: str) -> Key:
    """Revoke the key with this name or id. Raises `StartError`."""
    with _changing(path) as real:
        keys = read_keys(real)
        found = [key for key in keys if which in (key.id, key.name)]
        if len(found) != 1:
            raise StartError(f"{len(found) or 'no'} keys are named {which}: `scrivano keys list` has the names and ids")
        _write(real, [key for key in keys if key is not found[0]])
    return found[0]


_FORM = TypeAdapter(_File)


@contextmanager
def _changing(path: Path) -> Iterator[Path]:
    """One change at a time: two at once would lose one. Yields the file itself, where `path` is a link."""
    real = path.resolve()
    try:
        real.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder = os.open(real.parent, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield real
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise StartError(f"cannot write the API keys to {path} ({error.strerror})") from error


def _write(path: Path, keys: Sequence[Key]) -> None:
    """In one step, for this user only: a server that reads meanwhile has the old file or the new one."""
    text = _FORM.dump_json(_File(version=1, keys=tuple(keys)), indent=2, exclude_none=True)
    fd, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # with mode 0600
    try:
        with open(fd, "wb") as file:
            file.write(text + b"\n")
            file.flush()
            os.fsync(fd)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise
