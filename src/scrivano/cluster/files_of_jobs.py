"""What a dispatcher has instead of local recordings and prepared audio: names. Nodes have the audio."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from scrivano.files.audio_objects import AudioObjects
from scrivano.files.blobs import Blobs
from scrivano.files.disk_space import DiskSpace
from scrivano.files.prepared import PreparedFiles

__all__ = ["NamedRecordings", "RemotePrepared"]


@dataclass(frozen=True, slots=True)
class NamedRecording:
    """A recording that a node fetches, as a `LocalCopy`: the last part of the path is its id."""

    path: Path

    def close(self) -> None:
        """There is no file."""


class NamedRecordings:
    """The recordings of `blobs`, none of which is fetched here."""

    def __init__(self, blobs: Blobs) -> None:
        self.delete = blobs.delete

    def fetch(self, blob_id: str) -> NamedRecording:
        return NamedRecording(Path(blob_id))


class RemotePrepared(PreparedFiles):
    """Only what goes to the speakers child is a file here. The paths of audio are names, see `audio_names`."""

    def __init__(self, root: Path, audio: AudioObjects, disk_space: DiskSpace | None = None) -> None:
        super().__init__(root, disk_space)
        self._audio = audio

    def delete(self, job_id: str, attempts: int, *, sides: bool = True) -> None:
        """Later attempts are not touched: another dispatcher may be at them, if this one was frozen or cut off."""
        super().delete(job_id, attempts, sides=sides)
        self._audio.delete(job_id, attempts)
