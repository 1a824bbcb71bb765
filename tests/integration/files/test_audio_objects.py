"""Parts of prepared audio, in a folder and in a bucket."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from object_store import ObjectServer, environment
from served import until

from scrivano.domain.errors import StorageUnreachable
from scrivano.files.audio_objects import AudioObjects, BucketAudio, FolderAudio
from scrivano.files.bucket import Bucket


@pytest.fixture(params=["folder", "bucket"])
def audio(
    request: pytest.FixtureRequest, tmp_path: Path, s3: ObjectServer, monkeypatch: pytest.MonkeyPatch
) -> Iterator[AudioObjects]:
    if request.param == "folder":
        place: FolderAudio | BucketAudio = FolderAudio(tmp_path)
    else:
        for name, value in environment(s3.url).items():
            monkeypatch.setenv(name, value)
        place = BucketAudio(Bucket(f"s3://{s3.new_bucket()}/a/prefix"))
    with closing(AudioObjects(place)) as objects:
        yield objects


def test_parts_are_stored_read_replaced_and_deleted_by_job(audio: AudioObjects) -> None:
    audio.put("one", "1.chunk.0.0", b"first")
    audio.put("one", "1.chunk.0.0", b"again")
    audio.put("one", "1.chunk.0.9", b"")
    audio.put("two", "1.chunk.0.0", b"other")

    assert audio.get("one", "1.chunk.0.0") == b"again"
    assert audio.get("one", "1.chunk.0.9") == b""
    assert set(audio.stored()) == {"one", "two"}
    audio.delete("one")
    audio.delete("unknown")
    until(lambda: set(audio.stored()) == {"two"})
    assert audio.get("two", "1.chunk.0.0") == b"other"


def test_what_is_not_there_is_not_found(audio: AudioObjects) -> None:
    with pytest.raises(FileNotFoundError):
        audio.get("one", "1.chunk.0.0")


def test_objects_of_later_attempts_stay(audio: AudioObjects) -> None:
    """Another dispatcher may be at them."""
    for name in ("1.chunk.0.0", "2.block.0.0", "10.chunk.0.0"):
        audio.put("one", name, name.encode())

    audio.delete("one", 2)
    audio.put("other", "1.chunk.0.0", b"")
    audio.delete("other", 1)

    until(lambda: set(audio.stored()) == {"one"})
    assert audio.get("one", "10.chunk.0.0") == b"10.chunk.0.0"
    for name in ("1.chunk.0.0", "2.block.0.0"):
        with pytest.raises(FileNotFoundError):
            audio.get("one", name)
    audio.delete("one", 10)
    until(lambda: set(audio.stored()) == set())


class Down(FolderAudio):
    """`up`: whether it is, after all."""

    up = False

    def remove(self, job_id: str, attempts: int | None) -> None:
        if not self.up:
            raise StorageUnreachable("it is down")
        super().remove(job_id, attempts)


def test_what_cannot_be_deleted_now_is_deleted_when_the_storage_is_back(tmp_path: Path) -> None:
    place = Down(tmp_path)
    with closing(AudioObjects(place, retry_s=0.01)) as audio:
        for job_id in ("one", "two"):
            audio.put(job_id, "1.chunk.0.0", b"1")
            audio.delete(job_id, 1)
        audio.put("one", "2.chunk.0.0", b"2")
        place.up = True

        until(lambda: set(audio.stored()) == {"one"})
        assert audio.get("one", "2.chunk.0.0") == b"2"


def test_at_the_end_what_cannot_be_deleted_is_left_to_a_sweep(tmp_path: Path) -> None:
    with closing(AudioObjects(Down(tmp_path))) as audio:
        audio.put("one", "part", b"1")
        audio.delete("one")
        audio.delete("two")

    assert [path.name for path in (tmp_path / "prepared").iterdir()] == ["one"]
