"""What a dispatcher deletes of its jobs."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from served import until

from scrivano.cluster.files_of_jobs import RemotePrepared
from scrivano.files.audio_objects import AudioObjects, FolderAudio


def test_a_dispatcher_that_has_lost_a_job_leaves_the_audio_of_the_next_attempt(tmp_path: Path) -> None:
    """It was frozen, or cut off from the database, and another one goes on with the job."""
    with closing(AudioObjects(FolderAudio(tmp_path / "shared"))) as audio:
        prepared = RemotePrepared(tmp_path / "own", audio)
        prepared.voices_path("job", 1).write_bytes(b"")
        for name in ("1.chunk.0.0", "2.chunk.0.0"):
            audio.put("job", name, b"")

        prepared.delete("job", 1)

        until(lambda: [path.name for path in (tmp_path / "shared").glob("prepared/job/*")] == ["2.chunk.0.0"])
        assert list((tmp_path / "own" / "prepared").iterdir()) == []
