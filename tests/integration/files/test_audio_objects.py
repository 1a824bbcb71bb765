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


class Down(FolderAudio):
    def remove(self, job_id: str) -> None:
        raise StorageUnreachable("it is down")


def test_what_cannot_be_deleted_now_is_left_to_a_sweep(tmp_path: Path) -> None:
    with closing(AudioObjects(Down(tmp_path))) as audio:
        audio.put("one", "part", b"1")
        audio.delete("one")
        audio.delete("two")

    assert [path.name for path in (tmp_path / "prepared").iterdir()] == ["one"]
