"""An S3 server for the tests of a worker, and recordings in a bucket of their own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from object_store import ObjectServer, environment, object_server

from scrivano.files.bucket import Bucket
from scrivano.files.object_blobs import ObjectBlobs


@pytest.fixture(scope="session")
def s3() -> Iterator[ObjectServer]:
    with object_server() as server:
        yield server


@pytest.fixture
def object_blobs(tmp_path: Path, s3: ObjectServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectBlobs]:
    for name, value in environment(s3.url).items():
        monkeypatch.setenv(name, value)
    with closing(ObjectBlobs(Bucket(f"s3://{s3.new_bucket()}/a/prefix"), tmp_path, cache_bytes=10_000)) as blobs:
        yield blobs
