"""Media children: one prepares one recording, as a fork of a server that has loaded what it takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from scrivano.processes.child import Child, Exited, Message
from scrivano.processes.fork_server import Forked, ForkServer


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
        self.began = time.monotonic()
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
    """Starts media children. Their fork server stands ready while the model does, and as long as any is at work."""

    def __init__(
        self, command: Sequence[str], limits: MediaLimits, deliver: Callable[[Message | Exited], None]
    ) -> None:
        self._command = command
        self._limits = limits
        self._deliver = deliver
        self._server: ForkServer | None = None
        self._watch: Child | None = None
        self._working: set[Child] = set()

    def warm(self) -> None:
        """Have the server. Does nothing when there is one."""
        if self._server is None:
            self._server = ForkServer(self._command)
            self._watch = Child("media", self._server.process, self._deliver)

    def cool(self) -> None:
        """Let the server go once nothing is at work; its memory is for others now."""
        if self._server is not None and not self._working:
            self.close()

    def start(self, job_id: str, source: Path, target: Path, *, vad: bool = True) -> Preparation:
        """Prepare `source` into `target`; what the child says goes to `deliver`. `vad` False: all of it is speech."""
        child = Child("media", self._fork(), self._deliver, {"job_id": job_id})
        self._working.add(child)
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

    def stop(self, preparation: Preparation) -> None:
        """End a child. Where the server does not do it, it ends itself, and others' children, which begin again."""
        if not preparation.child.kill():
            self.close()

    def forget(self, child: Child) -> None:
        """A child exited."""
        self._working.discard(child)
        if child is self._watch:
            self.close()

    def close(self) -> None:
        """End the server, and all children with it; their memory is given back then."""
        if self._server is not None and self._watch is not None:
            self._server.close()
            self._watch.kill()
        self._server = self._watch = None

    def _fork(self) -> Forked:
        self.warm()
        assert self._server is not None
        try:
            return self._server.fork()
        except OSError:  # it has just died
            self.close()
            self.warm()
            return self._server.fork()
