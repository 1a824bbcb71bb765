"""Media children: each prepares one recording."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePath

from scrivano.domain.job import LONGEST_SAMPLE_S, Job
from scrivano.domain.recording import ChannelUse
from scrivano.files.blobs import LocalCopy
from scrivano.processes.child import Child, Exited, Process, Received
from scrivano.processes.messages import MediaMessage, Prepare, encoder, parser
from scrivano.running.children import MediaHost

__all__ = ["MediaLimits", "MediaPool", "MediaProcess"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaLimits:
    """What one recording may cost.

    `max_audio_s`: decoded seconds. `timeout_s`: wall clock in all. `stall_s`: wall clock without a message from the
    child, which sends one for each decoded minute at least.
    """

    max_audio_s: float = 86_400.0
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

    def queued(self) -> None:
        """The child does not run yet."""
        self._ends_at = time.monotonic() + self._limits.timeout_s
        self.made_progress()

    def postpone(self, seconds: float) -> None:
        """This process was stopped for so long: what the child sent meanwhile is still to be read."""
        self._ends_at += seconds
        self.deadline += seconds


class MediaPool:
    """Starts media children. Their host is open while the model is loaded, and as long as a child is at work."""

    def __init__(
        self,
        host: MediaHost,
        limits: MediaLimits,
        deliver: Callable[[Received[MediaMessage] | Exited[MediaMessage]], None],
    ) -> None:
        self._host = host
        self._limits = limits
        self._deliver = deliver
        self._parse: Callable[[bytes], MediaMessage] = parser(MediaMessage)
        self._encode: Callable[[Prepare], bytes] = encoder(Prepare)
        self._open = False
        self._host_child: Child[MediaMessage] | None = None
        self._working: set[Child[MediaMessage]] = set()

    @property
    def at_work(self) -> int:
        """How many children are."""
        return len(self._working)

    def warm(self) -> None:
        """Open the host; does nothing if it is open."""
        if not self._open:
            self._open = True
            process = self._host.open()
            self._host_child = None if process is None else Child("media", process, self._parse, self._deliver)

    def cool(self) -> None:
        """Close the host unless a child is at work, so that others can use its memory."""
        if self._open and not self._working:
            self.close()

    def start(
        self,
        job: Job,
        source: LocalCopy,
        target: Path,
        channels: ChannelUse,
        *,
        max_chunk_s: float,
        speakers: int | None = None,
        voices: bool = False,
    ) -> MediaProcess:
        """Prepare the recording of a job, `source`, into `target`; the messages of the child go to `deliver`.

        `channels`, `max_chunk_s`, `speakers` and `voices`: as in `Prepare`.
        """
        child = Child("media", self._start(), self._parse, self._deliver, {"job_id": job.id})
        longest_s = LONGEST_SAMPLE_S if job.decoding.is_voice_sample else math.inf
        self._working.add(child)
        request = Prepare(
            source=str(source.path),
            target=str(target),
            max_audio_s=min(self._limits.max_audio_s, longest_s),
            max_chunk_s=max_chunk_s,
            vad=job.decoding.vad is not False,
            ending=PurePath(job.filename or "").suffix[1:],
            audio_track=job.decoding.audio_track,
            language=job.requested_language,
            channels=channels,
            speakers=speakers,
            voices=voices,
        )
        child.send(self._encode(request))
        return MediaProcess(job.id, child, source, self._limits)

    def stop(self, process: MediaProcess) -> None:
        """Kill a child. If the host does not do it in time, close the host; its other jobs restart."""
        if not process.child.kill():
            self.close()

    def forget(self, child: Child[MediaMessage]) -> None:
        """A child exited."""
        self._working.discard(child)
        if child is self._host_child:
            self.close()

    def close(self) -> None:
        """Kill all children of this machine, and wait until their memory is free."""
        if self._open:
            self._open = False
            self._host.close()
        if self._host_child is not None:
            self._host_child.kill()
            self._host_child = None

    def _start(self) -> Process:
        self.warm()
        try:
            return self._host.start()
        except OSError:  # the host has just died
            self.close()
            self.warm()
            return self._host.start()
