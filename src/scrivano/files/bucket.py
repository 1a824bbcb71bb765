"""A prefix in a bucket of an S3 server: streamed, tried again, and with errors of our own.

Imports obstore, an extra; nothing else does. Its credentials come from the environment (`AWS_ACCESS_KEY_ID` and so on).
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import S3Store

from scrivano.domain.errors import StartError, StorageUnreachable
from scrivano.files.blob_writer import Blob

__all__ = ["Bucket", "StoredObject"]

logger = logging.getLogger(__name__)

# Sent or read in one request, and as much memory for each that runs. S3 has at most 10,000 parts of an object.
PART_BYTES = 8 * 1024 * 1024
MOST_PARTS = 9000
CONCURRENT_PARTS = 3

# For one request, which has at most `PART_BYTES`; and for all tries of it.
REQUEST_S = 30.0
CONNECT_S = 3.0
RETRY_S = 15.0

# While the store is down, it is asked this often whether it is back.
PROBE_S = 2.0
PROBE_REQUEST_S = 3.0

# The SHA-256 of a recording, as an attribute of its object.
SHA256 = "sha256"

ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")


@dataclass(frozen=True, slots=True)
class StoredObject:
    """`sha256`: of the recording when it was stored, None if another program stored it."""

    size_bytes: int
    modified_at: datetime
    sha256: str | None


class Bucket:
    """Methods block, and raise `StorageUnreachable` if the store does not do it after some tries.

    From then on the store is `down`: everything fails at once, until it responds again, which a thread finds out.
    """

    def __init__(self, url: str, environ: Mapping[str, str] = os.environ) -> None:
        """`url`: `s3://bucket/prefix`; the prefix may be empty. Raises `StartError`."""
        self.url = url.rstrip("/")
        parts = urlsplit(url)
        endpoint = next((environ[name] for name in ENDPOINTS if environ.get(name)), "")

        def store(request_s: float, retries: int) -> S3Store:
            return S3Store(
                parts.netloc,
                prefix=parts.path.strip("/") or None,
                client_options={
                    "allow_http": endpoint.startswith("http://"),
                    "timeout": timedelta(seconds=request_s),
                    "connect_timeout": timedelta(seconds=CONNECT_S),
                },
                retry_config={
                    "max_retries": retries,
                    "retry_timeout": timedelta(seconds=RETRY_S),
                    "backoff": {
                        "init_backoff": timedelta(seconds=0.2),
                        "max_backoff": timedelta(seconds=3),
                        "base": 2,
                    },
                },
            )

        try:
            self._store, self._impatient = store(REQUEST_S, retries=5), store(PROBE_REQUEST_S, retries=0)
        except (BaseError, ValueError) as error:
            raise StartError(f"BLOB_URL is {url!r}, and cannot be used: {_reason(error)}") from error
        self._lock = threading.Lock()
        self._down: str | None = None
        self._is_up = threading.Event()
        self._is_up.set()
        self._responded_at = -PROBE_S
        self._closed = False

    @property
    def down(self) -> str | None:
        """Why the store cannot be used; None: it can, as far as is known."""
        return self._down

    def wait_until_up(self, timeout_s: float) -> None:
        self._is_up.wait(timeout_s)

    def put(self, key: str, file: Path, blob: Blob) -> None:
        """Store a file, in parts if it is large; all of it appears at once."""
        part_bytes = max(PART_BYTES, blob.size_bytes // MOST_PARTS)
        with file.open("rb") as content, self._errors():
            try:
                obstore.put(
                    self._store,
                    key,
                    content,
                    attributes={SHA256: blob.sha256},
                    chunk_size=part_bytes,
                    max_concurrency=CONCURRENT_PARTS,
                )
            except FileNotFoundError as error:
                raise StorageUnreachable(f"the bucket of {self.url} does not exist") from error

    def put_bytes(self, key: str, data: bytes) -> None:
        """Store something small."""
        with self._errors():
            try:
                obstore.put(self._store, key, data, use_multipart=False)
            except FileNotFoundError as error:
                raise StorageUnreachable(f"the bucket of {self.url} does not exist") from error

    def get_bytes(self, key: str) -> bytes:
        """Read something small. Raises `FileNotFoundError`."""
        with self._errors():
            return bytes(obstore.get(self._store, key).bytes())

    def head(self, key: str) -> StoredObject:
        """Raises `FileNotFoundError`."""
        with self._errors():
            found = obstore.get(self._store, key, options={"head": True})
        return StoredObject(found.meta["size"], found.meta["last_modified"], found.attributes.get(SHA256))

    def read(self, key: str, start: int, size_bytes: int) -> bytes:
        """All of these bytes must exist. Raises `FileNotFoundError`."""
        with self._errors():
            return bytes(obstore.get_range(self._store, key, start=start, length=size_bytes)) if size_bytes else b""

    def download(self, key: str, size_bytes: int, file: Path, admit: Callable[[int], None]) -> str:
        """Read an object into a new file; returns its SHA-256. `admit` is asked before each write.

        Raises `FileNotFoundError`, `StorageFull`, `OSError`; the file is then deleted.
        """
        digest = hashlib.sha256()
        try:
            with open(file, "wb", opener=lambda path, flags: os.open(path, flags, 0o600)) as output:
                for start in range(0, size_bytes, PART_BYTES):
                    data = self.read(key, start, min(PART_BYTES, size_bytes - start))
                    admit(len(data))
                    output.write(data)
                    digest.update(data)
        except BaseException:
            file.unlink(missing_ok=True)
            raise
        return digest.hexdigest()

    def delete(self, key: str) -> None:
        """An object that does not exist is fine."""
        with suppress(FileNotFoundError), self._errors():
            obstore.delete(self._store, key)

    def list(self, folder: str) -> Iterator[str]:
        """The names in a folder, without it."""
        with self._errors():
            for page in obstore.list(self._store, folder):
                yield from (item["path"].removeprefix(f"{folder}/") for item in page)

    def presigned(self, key: str, expires_s: float) -> str:
        """A URL by which everybody may read the object for so long."""
        with self._errors():
            return obstore.sign(self._store, "GET", key, timedelta(seconds=expires_s))

    def responds(self) -> bool:
        """Whether the store is up; asks it, if it has not responded lately."""
        if self._down is None and time.monotonic() - self._responded_at > PROBE_S:
            self._probe()
        return self._down is None

    def check(self) -> None:
        """Write, read, list and delete an object. Raises `StartError` if its settings are at fault."""
        key, data = f"check/{uuid.uuid4()}", b"Scrivano checks its storage."
        try:
            obstore.put(self._store, key, data)
            read = bytes(obstore.get_range(self._store, key, start=9, length=6))
            listed = [item["path"] for page in obstore.list(self._store, "check") for item in page]
            obstore.delete(self._store, key)
        except (PermissionDeniedError, UnauthenticatedError) as error:
            raise StartError(
                f"BLOB_URL: {self.url} refuses these credentials ({_reason(error)}): check AWS_ACCESS_KEY_ID and"
                " AWS_SECRET_ACCESS_KEY; they must be allowed to put, get, list and delete objects"
            ) from error
        except (BaseError, FileNotFoundError) as error:
            raise self._start_error(error) or self._failed(error) from error
        if read != data[9:15] or key not in listed:
            raise StartError(f"BLOB_URL: {self.url} does not return what was stored in it")

    def close(self) -> None:
        self._closed = True
        self._is_up.set()

    def _start_error(self, error: Exception) -> StartError | None:
        text, reason = str(error), _reason(error)
        if isinstance(error, FileNotFoundError) or "NoSuchBucket" in text:
            return StartError(f"BLOB_URL: the bucket of {self.url} does not exist: create it, or correct BLOB_URL")
        if "/latest/api/token" in text or "/latest/meta-data" in text:
            return StartError(
                f"BLOB_URL: there are no credentials for {self.url}: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            )
        if re.search(r"status code: (301|400)", text):
            return StartError(
                f"BLOB_URL: {self.url} refuses requests ({reason}): check AWS_REGION and AWS_ENDPOINT_URL"
            )
        return None

    # Being down -------------------------------------------------------------------------------------------------

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Raises `StorageUnreachable` for errors of the store. `FileNotFoundError` passes if there is a bucket."""
        if self._down is not None:
            raise StorageUnreachable(self._down)
        try:
            yield
            self._responded_at = time.monotonic()
        except FileNotFoundError:
            self._confirm_bucket()
            raise
        except BaseError as error:
            raise self._failed(error) from error

    def _confirm_bucket(self) -> None:
        """A missing bucket must not look like a missing recording: it may come back, with all recordings."""
        try:
            next(iter(obstore.list(self._store, "check", chunk_size=1)), None)
        except (BaseError, FileNotFoundError) as error:
            raise self._failed(error) from error

    def _failed(self, error: Exception) -> StorageUnreachable:
        reason = _reason(error)
        with self._lock:
            if self._down is None:
                logger.error("the storage of recordings cannot be used: %s", reason)
                self._is_up.clear()
                threading.Thread(target=self._probe_until_up, name="storage-probe", daemon=True).start()
            self._down = reason
        return StorageUnreachable(reason)

    def _probe_until_up(self) -> None:
        while not self._closed:
            time.sleep(PROBE_S)
            self._probe()
            if self._down is None:
                logger.info("the storage of recordings can be used again")
                return

    def _probe(self) -> None:
        try:
            next(iter(obstore.list(self._impatient, "check", chunk_size=1)), None)
        except (BaseError, FileNotFoundError) as error:
            self._failed(error)
            return
        with self._lock:
            self._responded_at = time.monotonic()
            self._down = None
            self._is_up.set()


def _reason(error: Exception) -> str:
    """One short line: the code that the store sent, or what the library says last."""
    text = str(error)
    if code := re.search(r"<Code>(\w+)</Code>", text):
        return code[1]
    return text.partition("\n")[0].rpartition(" - ")[2][:200].strip()
