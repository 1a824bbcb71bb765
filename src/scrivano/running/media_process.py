"""Media children: each prepares one recording, as a fork of a server process that has loaded what they need."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from scrivano.domain.job import Job
from scrivano.domain.recording import ChannelUse
from scrivano.files.blobs import LocalCopy
from scrivano.processes.child import Child, Exited, Received
from scrivano.processes.fork_server import Forked, ForkServer
from scrivano.processes.messages import MediaMessage, Prepare, encoder, parser

__all__ = ["MediaLimits", "MediaPool", "MediaProcess"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaLimits:
    """What one recording may cost.

    `max_audio_s`: decoded seconds. `max_chunk_s`: audio of a chunk. `timeout_s`: wall clock in all. `stall_s`: wall
    clock without a message from the child, which sends one for each decoded minute at least.
    """

    max_audio_s: float = 86_400.0
    max_chunk_s: float = 30.0
    timeout_s: float = 3600.0
    stall_s: float = 60.0


class MediaProcess:
    """One child at work on one job, and the recording that it reads. `deadline` is monotonic: after it the child is
    late."""

    def __init__(self, job_id: str, child: Child[MediaMessage], source: LocalCopy, limits: MediaLimits) -> None:
        self.job_id = job_id
        self.source = source
        self.child = child
        self.started_at = time.monotonic()
        self._limits = limits
        self._ends_at = self.started_at + limits.timeout_s
        self.made_progress()

    def made_progress(self) -> None:
        """The child sent a message."""
        self.deadline = min(self._ends_at, time.monotonic() + self._limits.stall_s)

    def postpone(self, seconds: float) -> None:
        """This process was stopped for so long: what the child sent meanwhile is still to be read."""
        self._ends_at += seconds
        self.deadline += seconds


class MediaPool:
    """Starts media children.

    Their fork server is ready while the model is, and as long as a child is at work: a fork takes 5 ms, a new
    interpreter 200.
    """

    def __init__(
        self,
        command: Sequence[str],
        limits: MediaLimits,
        deliver: Callable[[Received[MediaMessage] | Exited[MediaMessage]], None],
    ) -> None:
        self._command = command
        self._limits = limits
        self._deliver = deliver
        self._parse: Callable[[bytes], MediaMessage] = parser(MediaMessage)
        self._encode: Callable[[Prepare], bytes] = encoder(Prepare)
        self._server: ForkServer | None = None
        self._server_child: Child[MediaMessage] | None = None
        self._working: set[Child[MediaMessage]] = set()

    def warm(self) -> None:
        """Start the fork server; does nothing if it runs."""
        if self._server is None:
            self._server = ForkServer(self._command)
            self._server_child = Child("media", self._server.process, self._parse, self._deliver)

    def cool(self) -> None:
        """End the fork server unless a child is at work, so that others can use its memory."""
        if self._server is not None and not self._working:
            self.close()

    def start(
        self, job: Job, source: LocalCopy, target: Path, channels: ChannelUse, speakers: int | None = None
    ) -> MediaProcess:
        """Prepare the recording of a job, `source`, into `target`; the messages of the child go to `deliver`.

        `channels` and `speakers`: as in `Prepare`.
        """
        child = Child("media", self._fork(), self._parse, self._deliver, {"job_id": job.id})
        self._working.add(child)
        request = Prepare(
            source=str(source.path),
            target=str(target),
            max_audio_s=self._limits.max_audio_s,
            max_chunk_s=self._limits.max_chunk_s,
            vad=job.decoding.vad is not False,
            ending=PurePath(job.filename or "").suffix[1:],
            audio_track=job.decoding.audio_track,
            language=job.requested_language,
            channels=channels,
            speakers=speakers,
        )
        child.send(self._encode(request))
        return MediaProcess(job.id, child, source, self._limits)

    def stop(self, process: MediaProcess) -> None:
        """Kill a child. If the fork server does not do it in time, kill the server; its other jobs restart."""
        if not process.child.kill():
            self.close()

    def forget(self, child: Child[MediaMessage]) -> None:
        """A child exited."""
        self._working.discard(child)
        if child is self._server_child:
            self.close()

    def close(self) -> None:
        """Kill the server and all children, and wait until their memory is free."""
        if self._server is not None and self._server_child is not None:
            self._server.close()
            self._server_child.kill()
        self._server = self._server_child = None

    def _fork(self) -> Forked:
        self.warm()
        assert self._server is not None
        try:
            return self._server.fork()
        except OSError:  # the server has just died
            self.close()
            self.warm()
            return self._server.fork()
