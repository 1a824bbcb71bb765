"""What the watcher needs of a server, in this process or elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from scrivano.domain.transcript import Transcript

__all__ = ["Done", "Failed", "Gone", "NoServer", "Outcome", "Transcriber", "TryLater"]


class TryLater(Exception):
    """The server does not take a recording now, or does not respond. The message says why."""


class NoServer(TryLater):
    """The server does not respond, or not as a server that this watcher may use."""


@dataclass(frozen=True, slots=True)
class Done:
    transcript: Transcript


@dataclass(frozen=True, slots=True)
class Failed:
    reason: str


@dataclass(frozen=True, slots=True)
class Gone:
    """The server does not know the job, or it was cancelled: the recording is submitted again."""


Outcome = Done | Failed | Gone


class Transcriber(Protocol):
    """Calls block."""

    def submit(self, recording: Path, key: str) -> str | Failed:
        """Send a recording; returns the id of its job. With the same `key` it is the same job.

        `Failed`: the server refuses this recording. Raises `TryLater`, and `OSError` if the file cannot be read.
        """

    def outcome(self, job_id: str) -> Outcome | None:
        """None: the job has not ended. Raises `TryLater`."""
