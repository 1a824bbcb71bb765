"""What happens to a running job, and what is to be done about it: the messages and the commands of a `JobRun`. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scrivano.domain.chunk import Chunk
from scrivano.domain.decoding import ChunkResult
from scrivano.domain.recording import AudioTrack, RecordingWarning, Waveform
from scrivano.domain.speakers import Diarization
from scrivano.domain.transcript import Segment
from scrivano.processes.messages import ChunkCut, Described, Drawn, PreparationFailed, Prepared, Probed
from scrivano.running.scheduler import WorkItem
from scrivano.running.speaker_run import SpeakerCommand, SpeakerMessage
from scrivano.store.jobs import Decoded

__all__ = [
    "AllEnqueued",
    "ChunkDecoded",
    "ChunkLost",
    "ChunkRefused",
    "Command",
    "CountCrash",
    "Enqueue",
    "Fail",
    "MediaDied",
    "MediaLate",
    "Message",
    "Publish",
    "RecordingMissing",
    "StartPreparing",
    "StoreChunk",
    "StoreGuess",
    "StorePlan",
]


# Messages ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RecordingMissing:
    """The upload is not there: the job was retried while its previous attempt was still deleting it."""


@dataclass(frozen=True, slots=True)
class MediaDied:
    reason: str


@dataclass(frozen=True, slots=True)
class MediaLate:
    """The media child was silent for too long, or took too long in all."""


@dataclass(frozen=True, slots=True)
class ChunkDecoded:
    index: int
    result: ChunkResult


@dataclass(frozen=True, slots=True)
class ChunkRefused:
    """The engine cannot decode one chunk of a batch; `alone`: this chunk was the batch."""

    index: int
    message: str
    alone: bool


@dataclass(frozen=True, slots=True)
class ChunkLost:
    """The engine died over a batch with this chunk. `killed`: from outside. `alone`: this chunk was the batch."""

    index: int
    message: str
    alone: bool
    killed: bool


Message = (
    Probed
    | ChunkCut
    | Described
    | Drawn
    | Prepared
    | PreparationFailed
    | RecordingMissing
    | MediaDied
    | MediaLate
    | ChunkDecoded
    | ChunkRefused
    | ChunkLost
    | SpeakerMessage
)


# Commands ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StartPreparing:
    """Start a media child on the recording."""


@dataclass(frozen=True, slots=True)
class Enqueue:
    """Have chunks decoded. `first`: before the other waiting chunks of the job."""

    items: Sequence[WorkItem]
    first: bool


@dataclass(frozen=True, slots=True)
class AllEnqueued:
    """Every chunk of the job has been enqueued at least once. Comes once in a run."""


@dataclass(frozen=True, slots=True)
class StoreChunk:
    """Add a chunk to the stored plan, in place of what an earlier attempt had from there on.

    `restarts_log`: the event log has text of that, so it starts again.
    """

    chunk: Chunk
    duration_s: float | None
    restarts_log: bool = False


@dataclass(frozen=True, slots=True)
class StorePlan:
    """The plan is complete."""

    chunks_total: int
    duration_s: float
    audio: AudioTrack | None = None
    warnings: Sequence[RecordingWarning] = ()
    waveform: Waveform | None = None


@dataclass(frozen=True, slots=True)
class StoreGuess:
    """The speakers so far. `segments`: who says each segment whose text is known; None: not known yet."""

    speakers: Diarization
    segments: Sequence[str | None]


@dataclass(frozen=True, slots=True)
class CountCrash:
    index: int


@dataclass(frozen=True, slots=True)
class Publish:
    """The job is done. `segments` are its transcript, `quality` says how far to trust it (`domain.quality`).

    `speakers` None: they were not asked for, or not found. `warnings` are added to those about the recording.
    """

    segments: Sequence[Segment]
    language: str | None
    duration_s: float
    quality: Mapping[str, Any]
    speakers: Diarization | None = None
    warnings: Sequence[RecordingWarning] = ()


@dataclass(frozen=True, slots=True)
class Fail:
    """The job failed. `code` is public and stable; `message` tells the user what to do."""

    code: str
    message: str


Command = (
    StartPreparing
    | Enqueue
    | AllEnqueued
    | StoreChunk
    | StorePlan
    | StoreGuess
    | CountCrash
    | Decoded
    | SpeakerCommand
    | Publish
    | Fail
)
