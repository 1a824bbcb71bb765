"""Recordings in each of the stores."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from scrivano.files.blob_writer import Blob, RunningHash
from scrivano.files.blobs import Blobs
from scrivano.files.folder_blobs import FolderBlobs


@pytest.fixture(params=["folder", "shared folder", pytest.param("bucket", marks=pytest.mark.slow)])
def blobs(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Blobs]:
    it: Blobs
    if request.param == "bucket":
        it = request.getfixturevalue("object_blobs")
    else:
        it = FolderBlobs(tmp_path, shared=request.param == "shared folder")
    with closing(it):
        yield it


def upload(blobs: Blobs, job_id: str, data: bytes = b"sound") -> Blob:
    with blobs.create(job_id) as writer:
        writer.write(data)
        return writer.commit()


def stored(blobs: Blobs, job_id: str) -> bytes:
    with closing(blobs.open(job_id)) as blob:
        return blob.read(0, blob.size_bytes)


@pytest.mark.parametrize("job_id", ["", ".", "..", "../a", "a/b", "/etc/passwd", "a.part", "-a", "a\0b", "a" * 200])
def test_only_plain_ids_become_paths(blobs: Blobs, job_id: str) -> None:
    for use in (blobs.create, blobs.open, blobs.fetch, blobs.delete, lambda name: blobs.extend(name, 0, RunningHash())):
        with pytest.raises(ValueError, match="not a job id"):
            use(job_id)


def test_a_recording_is_had_whole_and_in_parts_and_as_a_file(blobs: Blobs) -> None:
    data = os.urandom(300_000)

    assert upload(blobs, "a", data) == Blob(hashlib.sha256(data).hexdigest(), len(data))

    with closing(blobs.open("a")) as blob:
        assert blob.size_bytes == len(data)
        assert abs(blob.modified_at - datetime.now(UTC)) < timedelta(hours=1)
        assert blob.read(100_000, 5) == data[100_000:100_005]
        assert blob.read(299_999, 10) == data[-1:]
    with closing(blobs.fetch("a")) as copy:
        assert copy.path.read_bytes() == data
    assert set(blobs.stored()) == {"a"}


def test_a_recording_without_bytes_is_one_too(blobs: Blobs) -> None:
    assert upload(blobs, "a", b"").size_bytes == 0
    assert stored(blobs, "a") == b""


def test_an_upload_that_was_not_committed_leaves_nothing(blobs: Blobs) -> None:
    with blobs.create("a") as writer:
        writer.write(b"half")
    with suppress(RuntimeError), blobs.create("b") as writer:
        writer.write(b"half")
        raise RuntimeError
    writer.abort()

    for job_id in ("a", "b"):
        with pytest.raises(FileNotFoundError):
            blobs.open(job_id)
    assert set(blobs.stored()) == set()


def test_only_the_recording_of_the_job_is_deleted(blobs: Blobs) -> None:
    for job_id in ("a", "a-b"):
        upload(blobs, job_id)

    for _ in range(2):
        blobs.delete("a")

    with pytest.raises(FileNotFoundError):
        blobs.open("a")
    with pytest.raises(FileNotFoundError):
        blobs.fetch("a")
    assert stored(blobs, "a-b") == b"sound"


@pytest.mark.parametrize("known", [True, False])
def test_an_upload_in_parts_has_the_hash_of_the_whole(blobs: Blobs, known: bool) -> None:
    data = os.urandom(300_000)
    running_hash = RunningHash()
    for start in range(0, len(data), 70_000):
        with blobs.extend("a", start, running_hash if known else RunningHash()) as writer:
            for piece in (data[start : start + 9], data[start + 9 : start + 70_000]):
                writer.write(piece)
            # A part that was not recorded is overwritten.
            if start == 70_000:
                with blobs.extend("a", start + 70_000, RunningHash()) as lost:
                    lost.write(b"lost" * 10)
            writer.sync()
            running_hash = writer.running_hash.copy()

    expected = Blob(hashlib.sha256(data).hexdigest(), len(data))
    assert blobs.complete("a", running_hash if known else RunningHash()) == expected
    assert blobs.complete("a", RunningHash()) == expected, "also after a crash, before the client had its answer"
    assert stored(blobs, "a") == data


def test_a_part_after_the_first_needs_the_first(blobs: Blobs) -> None:
    with pytest.raises(FileNotFoundError):
        blobs.extend("a", 5, RunningHash())


def test_the_store_can_be_checked(blobs: Blobs) -> None:
    assert blobs.check()
    assert blobs.fault() is None
    assert set(blobs.stored()) == set()


def test_another_server_drops_its_copies_and_leaves_the_recording(blobs: Blobs, tmp_path: Path) -> None:
    upload(blobs, "a")
    upload(blobs, "used")
    with blobs.extend("part", 0, RunningHash()) as writer:
        writer.write(b"half")
    copies = blobs.copies()
    assert copies in (set(), {"a", "used", "part"}, ()), "in a folder there are none"

    with closing(blobs.fetch("used")) as copy:
        for blob_id in copies:
            blobs.drop_copy(blob_id)
        assert copy.path.read_bytes() == b"sound"

    assert stored(blobs, "a") == b"sound"
    if copies:
        assert {path.name for path in tmp_path.rglob("*") if path.is_file()} == {"used"}
        assert set(blobs.copies()) == {"used"}
