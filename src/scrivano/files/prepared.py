"""The files of running attempts under DATA_DIR: prepared audio for the engines, and voices for the speakers child."""

from __future__ import annotations

from pathlib import Path

from scrivano.files.blobs import checked_id
from scrivano.files.disk import make_folder
from scrivano.files.disk_space import DiskSpace

__all__ = ["PreparedFiles"]


class PreparedFiles:
    """`prepared/<job>.<attempt>.pcm`, `.voices` and `.guess` under `root`; creates the folder, for this user only.

    `disk_space`: of its disk.
    """

    def __init__(self, root: Path, disk_space: DiskSpace | None = None) -> None:
        self.disk_space = disk_space or DiskSpace(root)
        self._folder = root / "prepared"
        make_folder(self._folder)

    def audio_path(self, job_id: str, attempt: int) -> Path:
        """The path of an attempt's prepared audio. Each attempt has its own file, so a media child of an earlier
        attempt that still runs cannot damage it."""
        return self._folder / f"{checked_id(job_id)}.{attempt}.pcm"

    def voices_path(self, job_id: str, attempt: int, *, guess: bool = False) -> Path:
        """The path of a file in which the voices of a job's chunks go to the speakers child; `guess`: those so far."""
        return self.audio_path(job_id, attempt).with_suffix(".guess" if guess else ".voices")

    def delete(self, job_id: str, attempts: int, *, sides: bool = True) -> None:
        """Delete the files of all attempts, of which there were so many. `sides`: each may have several files of audio;
        without them no folder is listed."""
        if sides:
            paths = list(self._folder.glob(f"{checked_id(job_id)}.*.*"))
        else:
            audio = [self.audio_path(job_id, attempt) for attempt in range(1, attempts + 1)]
            paths = audio + [path.with_suffix(ending) for path in audio for ending in (".voices", ".guess")]
        for path in paths:
            path.unlink(missing_ok=True)

    def sweep(self) -> int:
        """At the start: delete the files of an earlier process. Returns how many."""
        paths = list(self._folder.iterdir())
        for path in paths:
            path.unlink()
        return len(paths)
