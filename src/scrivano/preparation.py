"""Media children: one prepares one recording. A warm spare takes the cost of starting out of a short clip's wait."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from scrivano.processes import Child, Exited, Message


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaLimits:
    """What one recording may cost.

    `max_audio_secs`: decoded seconds. `max_chunk_secs`: a chunk's audio. `timeout_s`: wall clock in all.
    `stall_s`: wall clock without a word from the child, which reports at least once per decoded minute.
    """

    max_audio_secs: float = 86_400.0
    max_chunk_secs: float = 30.0
    timeout_s: float = 3600.0
    stall_s: float = 60.0


class Preparation:
    """One child at work on one job."""

    def __init__(self, job_id: str, child: Child, limits: MediaLimits) -> None:
        self.job_id = job_id
        self.child = child
        self._limits = limits
        self._ends_at = time.monotonic() + limits.timeout_s
        self.heard()

    def heard(self) -> None:
        """The child said something: it is alive and advances."""
        self.deadline = min(self._ends_at, time.monotonic() + self._limits.stall_s)

    def postpone(self, seconds: float) -> None:
        """This process was stopped for so long: what the child said meanwhile is still to be read."""
        self._ends_at += seconds
        self.deadline += seconds


class MediaPool:
    """Starts media children, and keeps one spare in readiness while the model is."""

    def __init__(
        self, command: Sequence[str], limits: MediaLimits, deliver: Callable[[Message | Exited], None]
    ) -> None:
        self._command = command
        self._limits = limits
        self._deliver = deliver
        self._spare: Child | None = None

    def warm(self) -> None:
        """Have a spare child. Does nothing when there is one."""
        if self._spare is None:
            self._spare = Child("media", self._command, self._deliver)

    def cool(self) -> None:
        """Let the spare go; its memory is for others now."""
        if self._spare is not None:
            self._spare.kill()
            self._spare = None

    def start(self, job_id: str, source: Path, target: Path, *, vad: bool = True) -> Preparation:
        """Prepare `source` into `target`; what the child says goes to `deliver`. `vad` False: all of it is speech."""
        child, self._spare = self._spare, None
        if child is None:
            child = Child("media", self._command, self._deliver)
        child.send(
            {
                "source": str(source),
                "target": str(target),
                "max_audio_secs": self._limits.max_audio_secs,
                "max_chunk_secs": self._limits.max_chunk_secs,
                "vad": vad,
            }
        )
        return Preparation(job_id, child, self._limits)

    def forget(self, child: Child) -> None:
        """A child exited; if it was the spare, there is none."""
        if child is self._spare:
            self._spare = None
