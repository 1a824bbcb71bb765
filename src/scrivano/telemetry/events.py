"""Telemetry events: what the server has just done, for metrics and traces.

The code that does the work calls an `Emit` with an event. It does not know the metrics library or the tracer.
All durations are wall-clock seconds and end at the moment of the call.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from scrivano.domain.job import Job

__all__ = [
    "BatchDecoded",
    "Emit",
    "EngineLost",
    "EngineStarted",
    "JobEnded",
    "JobStarted",
    "JobTranscribed",
    "MediaProcessLost",
    "RequestEnded",
    "StageEnded",
    "StreamClosed",
    "StreamOpened",
    "TelemetryEvent",
    "Uploaded",
    "WebhookCalled",
    "emit_to",
    "ignore",
]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Uploaded:
    """A recording is on disk and its job is stored. `duration_s`: since its request started."""

    job: Job
    duration_s: float
    size_bytes: int


@dataclass(frozen=True, slots=True)
class JobStarted:
    """An attempt at a job started. `queued_s`: how long the job was queued; None if this is not its first attempt."""

    job: Job
    queued_s: float | None


@dataclass(frozen=True, slots=True)
class StageEnded:
    """A stage of a running job: `prepare` (decode, find speech, cut) or `assemble` (last result to commit)."""

    job_id: str
    stage: Literal["prepare", "assemble"]
    duration_s: float


@dataclass(frozen=True, slots=True)
class BatchDecoded:
    """An engine decoded a batch. `job_ids`: for each chunk, its job. `limit`: the most chunks that a batch may have.

    `audio_s` is the duration of the speech; silence between chunks is not decoded.
    """

    model: str
    job_ids: Sequence[str]
    limit: int
    audio_s: float
    duration_s: float


@dataclass(frozen=True, slots=True)
class JobTranscribed:
    """An attempt has its transcript. `duration_s`: since it started. `whole`: this attempt decoded all of the audio."""

    job_id: str
    audio_s: float
    duration_s: float
    whole: bool


@dataclass(frozen=True, slots=True)
class JobEnded:
    """The store has recorded that a job is done, failed or cancelled."""

    job: Job


@dataclass(frozen=True, slots=True)
class EngineStarted:
    model: str


@dataclass(frozen=True, slots=True)
class EngineLost:
    """An engine process ended, or had to be killed, although it should have gone on."""

    model: str
    reason: Literal["crashed", "killed", "hung", "device"]


@dataclass(frozen=True, slots=True)
class MediaProcessLost:
    """The process that prepared this job's recording ended before it had finished."""

    job_id: str


@dataclass(frozen=True, slots=True)
class WebhookCalled:
    """`status`: the HTTP status; None: no response. `outcome`: only `failed` is tried again."""

    kind: str
    outcome: Literal["delivered", "failed", "given_up", "gone"]
    duration_s: float
    status: int | None
    job_id: str | None
    traceparent: str | None


@dataclass(frozen=True, slots=True)
class StreamOpened:
    """A client opened a stream of Server-Sent Events."""


@dataclass(frozen=True, slots=True)
class StreamClosed:
    """A stream of Server-Sent Events ended."""


@dataclass(frozen=True, slots=True)
class RequestEnded:
    """`route` is the template, such as `/jobs/{job_id}`, never the path. `stream`: an event stream."""

    method: str
    route: str
    status: int
    duration_s: float
    stream: bool


TelemetryEvent = (
    Uploaded
    | JobStarted
    | StageEnded
    | BatchDecoded
    | JobTranscribed
    | JobEnded
    | EngineStarted
    | EngineLost
    | MediaProcessLost
    | WebhookCalled
    | StreamOpened
    | StreamClosed
    | RequestEnded
)

# Called on any thread, often. It returns immediately and never raises.
Emit = Callable[[TelemetryEvent], None]


def ignore(event: TelemetryEvent) -> None:
    """An `Emit` that does nothing."""


def emit_to(listeners: Sequence[Emit]) -> Emit:
    """An `Emit` that calls each of these. A fault in telemetry must not stop the work that is measured."""

    def emit(event: TelemetryEvent) -> None:
        try:
            for listener in listeners:
                listener(event)
        except Exception:
            logger.exception("a telemetry event was lost: %s", type(event).__name__)

    return emit
