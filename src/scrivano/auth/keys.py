"""API keys: what a key may do, how its secret is verified, and the file that stores the keys.

The file is JSON and contains no secrets, only their SHA-256. Passwords need a slow, salted hash because they can be
guessed. A secret here is 256 random bits, which cannot be guessed, so a plain hash is safe, and verifying takes a
microsecond instead of a tenth of a second.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import os
import secrets
import shlex
import stat
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
    "ANONYMOUS",
    "UNLIMITED",
    "Caller",
    "Key",
    "Limits",
    "Scope",
    "add_key",
    "new_secret",
    "read_keys",
    "remove_key",
    "sha256_of",
    "verify",
]

# Lets people and secret scanners recognise a leaked secret.
PREFIX = "scv_"

SECRET_BYTES = 32


class Scope(StrEnum):
    """`SUBMIT`: send recordings; cancel, retry and delete jobs. `READ`: see jobs, transcripts, recordings, events.
    `ADMIN`: the same for the jobs of all keys, and operations that affect everybody, such as loading the model."""

    SUBMIT = "submit"
    READ = "read"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits of a key; None: unlimited. `jobs`: unfinished jobs. `audio_hours_per_day`: audio decoded in the last
    24 hours. `streams`: open Server-Sent Events streams."""

    requests_per_minute: Annotated[int, Field(ge=1)] | None = None
    jobs: Annotated[int, Field(ge=1)] | None = None
    audio_hours_per_day: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    streams: Annotated[int, Field(ge=1)] | None = None


UNLIMITED = Limits()


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """`id` is stored with the key's jobs and never reused. `sha256` is the hash of the secret, in hexadecimal."""

    id: Annotated[str, Field(pattern=r"^[a-z0-9]{1,32}$")]
    name: Annotated[str, Field(min_length=1, max_length=100)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    scopes: frozenset[Scope]
    created_at: datetime
    limits: Limits = UNLIMITED

    def may(self, scopes: Iterable[Scope]) -> bool:
        """True if the key has one of these scopes. An admin key may do everything."""
        return Scope.ADMIN in self.scopes or not self.scopes.isdisjoint(scopes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """The sender of a request. `owner`: the id of its key, which new jobs will belong to; None: it has no key.
    `sees`: the id of the key whose jobs it may see; None: all jobs."""

    owner: str | None = None
    sees: str | None = None
    limits: Limits = UNLIMITED

    @classmethod
    def with_key(cls, key: Key) -> Caller:
        return cls(owner=key.id, sees=None if Scope.ADMIN in key.scopes else key.id, limits=key.limits)


# Every caller of a server that has no keys.
ANONYMOUS = Caller()


def new_secret() -> str:
    return PREFIX + secrets.token_urlsafe(SECRET_BYTES)


def sha256_of(secret: str) -> str:
    return hashlib.sha256(secret.encode(errors="surrogateescape")).hexdigest()


def verify(keys: Mapping[str, Key], secret: str) -> Key | None:
    """The key with this secret. `keys` maps each `sha256` to its key.

    Timing reveals nothing useful: the dictionary compares hashes, which a caller cannot choose, and the comparison
    that decides takes constant time.
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
    """Raises `StartError` if the file cannot be read. The message quotes nothing from the file."""
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise StartError(
            f"the API keys file {path} does not exist: create it with"
            f" `scrivano keys create --file {shlex.quote(str(path))} --name NAME`"
        ) from error
    except OSError as error:
        raise StartError(f"cannot read the API keys file {path} ({error.strerror})") from error
    try:
        keys = _FORM.validate_json(data).keys
    except ValidationError as error:
        detail = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(map(str, detail["loc"])) or "the file"
        raise StartError(f"{path} is not a valid API keys file: {where}: {detail['msg']}") from error
    for names in ([key.id for key in keys], [key.name for key in keys], [key.sha256 for key in keys]):
        if len(set(names)) < len(names):
            raise StartError(f"{path} is not a valid API keys file: two keys have the same id, name or secret")
    return keys


def add_key(path: Path, name: str, scopes: Iterable[Scope], limits: Limits, now: datetime) -> tuple[Key, str]:
    """Create a key. Returns it and its secret, which is not stored. Creates the file if it does not exist.

    Raises `StartError` if the name is taken, or if the file cannot be read or written.
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
    with _locked(path) as real:
        keys = read_keys(real) if real.exists() else ()
        if any(one.name == name for one in keys):
            raise StartError(f"a key named {name} already exists: revoke it first, or choose another name")
        _write(real, (*keys, key))
    return key, secret


def remove_key(path: Path, name_or_id: str) -> Key:
    """Revoke the key with this name or id. Raises `StartError`."""
    with _locked(path) as real:
        keys = read_keys(real)
        found = [key for key in keys if name_or_id in (key.id, key.name)]
        if len(found) != 1:
            count = len(found) or "no"
            raise StartError(f"{count} keys match {name_or_id}: `scrivano keys list` shows names and ids")
        _write(real, [key for key in keys if key is not found[0]])
    return found[0]


_FORM = TypeAdapter(_File)


@contextmanager
def _locked(path: Path) -> Iterator[Path]:
    """Lock the file: of two concurrent changes, one would be lost. Yields the real path if `path` is a link."""
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
        raise StartError(f"cannot write the API keys file {path} ({error.strerror})") from error


def _write(path: Path, keys: Sequence[Key]) -> None:
    """Replace the file atomically, so that a server never reads half of it.

    A new file may be read by this user only. Root writes for a server of another user: the file keeps its owner and
    who may read it, and a new one gets the owner of its folder.
    """
    text = _FORM.dump_json(_File(version=1, keys=tuple(keys)), indent=2, exclude_none=True)
    fd, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # creates it with mode 0600
    try:
        with open(fd, "wb") as file:
            if os.geteuid() == 0:
                _hand_over(fd, path)
            file.write(text + b"\n")
            file.flush()
            os.fsync(fd)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


def _hand_over(fd: int, path: Path) -> None:
    """The owner of the file that is replaced, or of the folder, and no more readers than before."""
    before = path.stat() if path.exists() else None
    owner = before or path.parent.stat()
    os.fchown(fd, owner.st_uid, owner.st_gid)
    os.fchmod(fd, 0o600 | (stat.S_IMODE(before.st_mode) & 0o040 if before else 0))
