"""Where recordings are stored: the interface of its two implementations, a folder and an object store.

A recording is written once, under the id of its job. A file name from a client is data and never gets here.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import Protocol

from scrivano.files.blob_writer import Blob, PartWriter, RunningHash

__all__ = ["Blobs", "LocalCopy", "NewBlob", "OpenBlob", "Recordings", "checked_id"]

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")


def checked_id(blob_id: str) -> str:
    """Raises ValueError: an id with other characters, such as `../x`, must never become part of a path."""
    if not _ID.fullmatch(blob_id):
        raise ValueError(f"not a job id: {blob_id!r}")
    return blob_id


class NewBlob(AbstractContextManager["NewBlob"], Protocol):
    """A recording that arrives. The end of the `with` block deletes it unless it was committed."""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Raises `StorageFull`."""

    def commit(self) -> Blob:
        """When this returns, the recording is stored, whatever happens. Raises `StorageFull`, `StorageUnreachable`."""

    def abort(self) -> None:
        """Delete what has arrived. After `commit` this does nothing."""


class OpenBlob(Protocol):
    """A stored recording. Several threads may read, one after the other."""

    @property
    def size_bytes(self) -> int: ...

    @property
    def modified_at(self) -> datetime: ...

    @property
    def url(self) -> str | None:
        """Where clients may read it themselves for a while; None: only the server reads it."""

    def read(self, start: int, size_bytes: int) -> bytes:
        """Bytes from `start` on, fewer at the end. Raises `StorageUnreachable`, and `FileNotFoundError` if it was
        deleted."""

    def close(self) -> None: ...


class LocalCopy(Protocol):
    """A recording as a file that a child process can read. It stays until `close`, unless the recording is deleted."""

    @property
    def path(self) -> Path: ...

    def close(self) -> None:
        """May be called again."""


class Recordings(Protocol):
    """What a runner needs of the stored recordings. Any thread may call."""

    def fetch(self, blob_id: str) -> LocalCopy:
        """Raises `FileNotFoundError`, `StorageFull`, `StorageUnreachable`, `StorageDamaged`."""

    def delete(self, blob_id: str) -> None:
        """Delete a recording, complete or not, if it exists. It may go a little later. Does not wait for a network."""


class Blobs(Recordings, Protocol):
    """The stored recordings. Any thread may call; calls block, unless they say otherwise."""

    def admit(self, size_bytes: int = 0) -> None:
        """Check that `size_bytes` more may be stored for a client. Does not wait.

        Raises `StorageFull`, `StorageUnreachable`.
        """

    def create(self, blob_id: str) -> NewBlob:
        """A recording that arrives in one request. Raises `StorageFull`."""

    def extend(self, blob_id: str, offset_bytes: int, running_hash: RunningHash) -> PartWriter:
        """A writer for the next part of a recording that arrives in several requests; use it in a `with` block.

        Raises `FileNotFoundError` if nothing has arrived and the offset is not 0, and `StorageFull`.
        """

    def has_part(self, blob_id: str) -> bool:
        """Whether bytes of a recording that arrives in several requests are here. Another server may have them."""

    def complete(self, blob_id: str, running_hash: RunningHash) -> Blob:
        """Store a recording that has arrived in several requests, and whose bytes are synced.

        When this returns, it is stored, whatever happens. May be called again after a crash. Raises
        `FileNotFoundError`, `StorageFull`, `StorageUnreachable`.
        """

    def open(self, blob_id: str) -> OpenBlob:
        """Raises `FileNotFoundError`, `StorageUnreachable`."""

    def client_origin(self) -> str | None:
        """The origin (`https://host`) of each `OpenBlob.url`; None: they have none. Does not raise."""

    def sweep(self, needed: Collection[str], unfinished: Collection[str] = ()) -> int:
        """At the start: delete what an earlier process left on this machine, except the recordings `needed` and those
        that are `unfinished`. Returns how many."""

    def copies(self) -> Collection[str]:
        """The ids of recordings, whole or in parts, that this machine has in files of its own and nobody reads now.
        Empty where these files are the recordings themselves."""

    def drop_copy(self, blob_id: str) -> None:
        """Delete this machine's files of a recording, unless somebody reads them. What is stored elsewhere stays."""

    def stored(self) -> Iterable[str]:
        """The ids of all recordings, except those that arrive now. Raises `StorageUnreachable`."""

    def fault(self) -> str | None:
        """Why no recording can be stored now, and what to do; None: they can."""

    def check(self) -> str:
        """Store, read and delete something; returns where recordings are stored, for people.

        Raises `StorageUnreachable`, `StorageFull`, and `StartError` where waiting does not help.
        """

    def close(self) -> None: ...
