"""Stored recordings to local files, for media children: the runner does not wait for a network."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from scrivano.domain.job import Job
from scrivano.files.blobs import LocalCopy, Recordings

__all__ = ["Fetched", "RecordingFetches"]


@dataclass(frozen=True, slots=True)
class Fetched:
    """What became of a fetch: the file, or what `Recordings.fetch` raised."""

    job_id: str
    attempt: int
    result: LocalCopy | Exception

    def close(self) -> None:
        """Nobody needs the file any more."""
        if not isinstance(self.result, Exception):
            self.result.close()


class RecordingFetches:
    """One thread for each fetch. `JobRuns` limits how many jobs prepare at once; fetches end by themselves."""

    def __init__(self, blobs: Recordings, deliver: Callable[[Fetched], None]) -> None:
        self._blobs = blobs
        self._deliver = deliver

    def start(self, job: Job) -> None:
        """The result goes to `deliver`."""
        threading.Thread(target=self._fetch, args=(job,), name="fetch", daemon=True).start()

    def _fetch(self, job: Job) -> None:
        result: LocalCopy | Exception
        try:
            result = self._blobs.fetch(job.recording_id)
        except Exception as error:
            result = error
        self._deliver(Fetched(job.id, job.attempt, result))
