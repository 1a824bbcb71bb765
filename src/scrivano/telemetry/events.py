"""What happens, as told to whoever measures it: metrics and traces. Pure data.

Whoever does the work calls an `Emit` with what it has just done, as it calls an `Announcer`; it knows of no metrics
library and no tracer. All durations are wall-clock seconds that end at the moment of the call.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from scrivano.domain.job import Job

__all__ = [
    "BatchDecoded",
    "Emit",
    "EngineLost",
    "EngineStarted",
    "JobBegan",
    "JobEnded",
    "JobTranscribed",
    "MediaLost",
    "RequestEnded",
    "StageEnded",
    "StreamClosed",
    "StreamOpened",
    "TelemetryEvent",
    "Uploaded",
    "WebhookCalled",
    "ignore",
]


@dataclass(frozen=True, slots=True)
class Uploaded:
    """A recording is on disk, and its job in the store; `secs` since its request began."""

    job: Job
    secs: float
    size_bytes: int


@dataclass(frozen=True, slots=True)
class JobBegan:
    """An attempt at a job began, after `waited_secs` in the queue; None: it had begun before, in another attempt."""

    job: Job
    waited_secs: float | None


@dataclass(frozen=True, slots=True)
class StageEnded:
    """A stage of a running job: `prepare` (decode, find the speech, cut) or `assemble` (all results, to the commit)."""

    job_id: str
    stage: Literal["prepare", "assemble"]
    secs: float


@dataclass(frozen=True, slots=True)
class BatchDecoded:
    """An engine decoded a batch. `chunks`: a job's id for each of its chunks; `limit`: how many it could have had.

    `audio_secs` is speech: the silence between is not decoded.
    """

    model: str
    chunks: Sequence[str]
    limit: int
    audio_secs: float
    secs: float


@dataclass(frozen=True, slots=True)
class JobTranscribed:
    """An attempt came to its transcript, `secs` after it began. `whole`: all of it was decoded in this attempt."""

    job_id: str
    audio_secs: float
    secs: float
    whole: bool


@dataclass(frozen=True, slots=True)
class JobEnded:
    """A job is done, failed or cancelled, and the store says so."""

    job: Job


@dataclass(frozen=True, slots=True)
class EngineStarted:
    model: str


@dataclass(frozen=True, slots=True)
class EngineLost:
    """An engine's process is gone, or had to go, without anybody's wish."""

    model: str
    reason: Literal["crashed", "killed", "hung", "device"]


@dataclass(frozen=True, slots=True)
class MediaLost:
    """The process that prepared this job's recording ended before it was done."""

    job_id: str


@dataclass(frozen=True, slots=True)
class WebhookCalled:
    """`status`: the answer's; None: there was none. `outcome`: `failed` is tried again, the last two are not."""

    kind: str
    outcome: Literal["delivered", "failed", "given_up", "gone"]
    secs: float
    status: int | None
    job_id: str | None
    traceparent: str | None


@dataclass(frozen=True, slots=True)
class StreamOpened:
    """Server-Sent Events flow to one more client."""


@dataclass(frozen=True, slots=True)
class StreamClosed:
    pass


@dataclass(frozen=True, slots=True)
class RequestEnded:
    """`route` is the template, such as `/jobs/{job_id}`, never the path. `stream`: it lasted as long as its client."""

    method: str
    route: str
    status: int
    secs: float
    stream: bool


TelemetryEvent = (
    Uploaded
    | JobBegan
    | StageEnded
    | BatchDecoded
    | JobTranscribed
    | JobEnded
    | EngineStarted
    | EngineLost
    | MediaLost
    | WebhookCalled
    | StreamOpened
    | StreamClosed
    | RequestEnded
)

# Called on any thread, often: it returns at once and never raises.
Emit = Callable[[TelemetryEvent], None]


def ignore(seen: TelemetryEvent) -> None:
    """Nothing is measured."""
