"""Recordings in a bucket of a real S3 server, which goes away, lies and comes back."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest
from object_store import Gate, ObjectServer, environment, gate
from served import until

from scrivano.domain.errors import StartError, StorageDamaged, StorageUnreachable
from scrivano.files.blob_writer import Blob, RunningHash
from scrivano.files.blobs import Blobs
from scrivano.files.bucket import PART_BYTES, Bucket
from scrivano.files.object_blobs import ObjectBlobs
from scrivano.housekeeping.orphans import Orphans

pytestmark = pytest.mark.slow

MB = 1024 * 1024


@dataclass
class Store:
    """A bucket behind a gate. `root`: the folder on this machine."""

    server: ObjectServer
    gate: Gate
    bucket: str
    root: Path

    def open(self, root: str = "data", *, cache_bytes: int = 10 * MB, redirect_s: float | None = None) -> ObjectBlobs:
        bucket = Bucket(f"s3://{self.bucket}/prefix")
        return ObjectBlobs(bucket, self.root / root, cache_bytes=cache_bytes, redirect_s=redirect_s)

    @property
    def ids(self) -> set[str]:
        return {key.removeprefix("prefix/uploads/") for key in self.server.keys(self.bucket)}

    def local_files(self, root: str = "data") -> set[str]:
        return {path.name for path in (self.root / root).rglob("*") if path.is_file()}


@pytest.fixture
def store(tmp_path: Path, s3: ObjectServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    with gate(s3.port) as it:
        for name, value in environment(it.url).items():
            monkeypatch.setenv(name, value)
        yield Store(s3, it, s3.new_bucket(), tmp_path)


def upload(blobs: Blobs, job_id: str, data: bytes = b"sound") -> Blob:
    with blobs.create(job_id) as writer:
        writer.write(data)
        return writer.commit()


def test_a_large_recording_goes_in_parts_and_comes_back_whole(store: Store) -> None:
    data = os.urandom(2 * PART_BYTES + 12_345)
    with closing(store.open()) as blobs, closing(store.open("another")) as another:
        upload(blobs, "large", data)

        with closing(another.fetch("large")) as copy:
            assert hashlib.sha256(copy.path.read_bytes()).digest() == hashlib.sha256(data).digest()
    assert store.server.unfinished(store.bucket) == 0


def test_the_cache_is_bounded_and_keeps_what_is_in_use(store: Store) -> None:
    with closing(store.open(cache_bytes=2500)) as blobs:
        for job_id in ("a", "b", "c"):
            upload(blobs, job_id, bytes(1000))
        assert store.local_files() == {"b", "c"}

        used = blobs.fetch("b")
        upload(blobs, "d", bytes(2000))
        assert store.local_files() == {"b", "d"}
        with closing(blobs.fetch("a")) as again:
            assert again.path.stat().st_size == 1000
        assert used.path.exists()
        used.close()
        used.close()

    assert store.ids == {"a", "b", "c", "d"}


def test_what_an_earlier_process_left_here_is_used_or_swept(store: Store) -> None:
    with closing(store.open()) as blobs:
        for job_id in ("needed", "done"):
            upload(blobs, job_id)
        with blobs.extend("partial", 0, RunningHash()) as writer:
            writer.write(b"half")
            writer.sync()
        (store.root / "data" / "cache" / "arrived.0.part.part").touch()

    with closing(store.open()) as blobs:
        assert blobs.sweep({"needed"}, {"partial"}) == 2
        assert store.local_files() == {"needed", "partial.part"}
        store.gate.close()
        with closing(blobs.fetch("needed")) as copy:
            assert copy.path.read_bytes() == b"sound"


def test_a_recording_that_changed_in_the_bucket_is_not_used(store: Store) -> None:
    with closing(store.open()) as blobs, closing(store.open("another")) as another:
        blob = upload(blobs, "a", b"sound")
        store.server.damage(store.bucket, "prefix/uploads/a", b"other", blob.sha256)

        with pytest.raises(StorageDamaged):
            another.fetch("a")
    assert store.local_files("another") == set()


def test_while_the_store_is_gone_everything_says_so_at_once_and_later_works(store: Store) -> None:
    with closing(store.open(cache_bytes=0)) as blobs:
        upload(blobs, "a")
        upload(blobs, "b")
        store.gate.close()

        with pytest.raises(StorageUnreachable):
            upload(blobs, "lost")
        for use in (blobs.admit, lambda: blobs.open("a"), lambda: blobs.fetch("a"), lambda: upload(blobs, "lost")):
            with pytest.raises(StorageUnreachable):
                use()
        assert "check the object store" in (blobs.fault() or "")
        blobs.delete("a")
        with pytest.raises(FileNotFoundError):
            blobs.open("a")

        store.gate.open()
        until(lambda: blobs.fault() is None)
        blobs.admit()
        upload(blobs, "c")
        until(lambda: store.ids == {"b", "c"})
    assert store.local_files() == set()


def test_an_outage_is_noticed_though_nobody_uses_the_store(store: Store) -> None:
    with closing(store.open()) as blobs:
        store.gate.close()
        until(lambda: blobs.fault() is not None)
        store.gate.open()
        until(lambda: blobs.fault() is None)


def test_a_bucket_that_is_gone_is_no_missing_recording(store: Store) -> None:
    with closing(store.open(cache_bytes=0)) as blobs:
        upload(blobs, "a")
        store.server.remove(store.bucket)

        with pytest.raises(StorageUnreachable):
            blobs.fetch("a")


def test_an_upload_in_parts_survives_that_the_store_is_gone_at_its_end(store: Store) -> None:
    with closing(store.open()) as blobs:
        with blobs.extend("a", 0, RunningHash()) as writer:
            writer.write(b"sound")
            writer.sync()
        store.gate.close()
        with pytest.raises(StorageUnreachable):
            blobs.complete("a", RunningHash())

        store.gate.open()
        until(lambda: blobs.fault() is None)
        assert blobs.complete("a", RunningHash()).size_bytes == 5
    assert store.ids == {"a"}


def test_clients_can_be_led_to_the_bucket(store: Store) -> None:
    with closing(store.open(redirect_s=60)) as blobs:
        upload(blobs, "a", b"sound")
        url = blobs.open("a").url

        assert blobs.client_origin() == store.gate.url
        assert url is not None
        assert url.startswith(f"{store.gate.url}/")
        assert "not-for-children" not in url
        assert httpx2.get(url, headers={"Range": "bytes=1-3"}, timeout=60).content == b"oun"


def test_orphans_are_deleted_when_they_have_had_no_job_for_a_while(store: Store) -> None:
    now, needed = [0.0], {"job"}
    with closing(store.open()) as blobs:
        for job_id in ("job", "orphan", "late"):
            upload(blobs, job_id)
        orphans = Orphans(blobs, lambda: needed, margin_s=100, monotonic=lambda: now[0])

        assert orphans.sweep() == 0
        now[0] = 99.0
        assert orphans.sweep() == 0
        needed.add("late")
        now[0] = 100.0
        assert orphans.sweep() == 1
        until(lambda: store.ids == {"job", "late"})


def test_what_is_to_be_deleted_is_deleted_before_the_end(store: Store) -> None:
    with closing(store.open()) as blobs:
        upload(blobs, "a")
        blobs.delete("a")

    assert store.ids == set()


@pytest.mark.parametrize(
    ("url", "reason"), [("s3://no-such-bucket", "does not exist"), ("s3://no-such-bucket/prefix", "does not exist")]
)
def test_a_wrong_bucket_is_told(store: Store, url: str, reason: str) -> None:
    with pytest.raises(StartError, match=reason):
        Bucket(url).check()


def test_a_store_that_is_gone_is_no_wrong_setting(store: Store) -> None:
    store.gate.close()
    with pytest.raises(StorageUnreachable):
        Bucket(f"s3://{store.bucket}").check()
