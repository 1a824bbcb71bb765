"""A job, its chunks and its events; a job's life as a pure state machine."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

# Prepared audio: mono signed 16-bit little-endian at this rate (what Whisper hears).
SAMPLE_RATE = 16_000


class JobStatus(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def terminal(self) -> bool:
        return self in (JobStatus.DONE, JobStatus.FAILED, JobStatus.CANCELLED)


# Which status may follow which. The store's updates name the same sets in their WHERE clauses.
NEXT: dict[JobStatus, frozenset[JobStatus]] = {
    JobStatus.QUEUED: frozenset({JobStatus.RUNNING, JobStatus.FAILED, JobStatus.CANCELLED}),
    # running → running is a new attempt: the one before it lost its lease.
    JobStatus.RUNNING: frozenset({JobStatus.RUNNING, JobStatus.DONE, JobStatus.FAILED, JobStatus.CANCELLED}),
    JobStatus.DONE: frozenset(),
    # Tried again, by somebody's wish.
    JobStatus.FAILED: frozenset({JobStatus.QUEUED}),
    JobStatus.CANCELLED: frozenset({JobStatus.QUEUED}),
}


class Task(StrEnum):
    TRANSCRIBE = "transcribe"
    TRANSLATE = "translate"


class Priority(StrEnum):
    """Whose turn it is, most urgent first."""

    INTERACTIVE = "interactive"
    NORMAL = "normal"
    BULK = "bulk"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobOptions:
    """How to decode one job; None: as the server is set.

    `hotwords`: words that may be said, which the model would not expect. `vad` False: all of the recording is decoded,
    what sounds like silence too. `temperature` is where Whisper's ladder begins. `languages`: those that the recording
    may be in. `multilingual`: it may be in several, so each chunk has its own. `purpose` marks jobs that are done for
    something else than their transcript.
    """

    prompt: str | None = None
    hotwords: str | None = None
    word_timestamps: bool | None = None
    vad: bool | None = None
    beam_size: int | None = None
    temperature: float | None = None
    languages: tuple[str, ...] | None = None
    multilingual: bool | None = None
    purpose: str | None = None

    def stored(self) -> dict[str, Any]:
        """What was chosen, as plain JSON values."""
        chosen = {name: value for name, value in asdict(self).items() if value is not None}
        return chosen | ({"languages": list(self.languages)} if self.languages else {})

    @classmethod
    def restored(cls, options: Mapping[str, Any]) -> JobOptions:
        """Out of what was stored, among other things."""
        known = {name: value for name, value in options.items() if name in cls.__dataclass_fields__}
        return cls(**known | ({"languages": tuple(known["languages"])} if "languages" in known else {}))


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of prepared audio, `start <= sample < end`; sample 0 is the start of the uploaded file."""

    start: int
    end: int

    @property
    def seconds(self) -> float:
        return (self.end - self.start) / SAMPLE_RATE


@dataclass(frozen=True, slots=True)
class Chunk:
    """At most 30 s of audio, cut in silence: the unit of work.

    Its audio is its pieces joined; they ascend and do not overlap, and what lies between two is silence.
    """

    index: int
    pieces: tuple[Piece, ...]

    @property
    def start(self) -> float:
        """Seconds from the start of the file."""
        return self.pieces[0].start / SAMPLE_RATE

    @property
    def end(self) -> float:
        return self.pieces[-1].end / SAMPLE_RATE

    @property
    def seconds(self) -> float:
        """Audio to decode, without the silence between the pieces."""
        return sum(piece.seconds for piece in self.pieces)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One recording to transcribe. `progress` is percent, 0 to 100; `language` is None until given or detected.

    `options` are JSON values: those of `JobOptions` that were given, `priority` unless it is normal, `model` unless it
    is the usual one, and `metadata`. `owner` is the id of the API key that it came with; None: it is nobody's.
    `traceparent`: the span that it was submitted in (W3C Trace Context).
    """

    id: str
    status: JobStatus
    task: Task
    created_at: datetime
    language: str | None = None
    progress: int = 0
    duration_secs: float | None = None
    error: str | None = None
    error_code: str | None = None
    webhook_url: str | None = None
    filename: str | None = None
    completed_at: datetime | None = None
    attempt: int = 0
    chunks_total: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    traceparent: str | None = None
    owner: str | None = None

    @property
    def decoding(self) -> JobOptions:
        return JobOptions.restored(self.options)

    @property
    def priority(self) -> Priority:
        return Priority(self.options.get("priority", Priority.NORMAL))

    @property
    def model(self) -> str | None:
        """None: the one that the server uses unless told otherwise."""
        return self.options.get("model")

    @property
    def metadata(self) -> Mapping[str, str] | None:
        """What the submitter wants back with the job."""
        return self.options.get("metadata")


@dataclass(frozen=True, slots=True)
class Event:
    """One entry of a job's log. `seq` counts from 1 within the job and is the SSE id.

    `type` is `progress` (data: percent, chunk, chunks_total), `segment` (data: one, on the file's clock, in order),
    `language` (data: language, probability), `done` (no data: the job itself is the payload), `error` (data: message,
    code), or `retry` (no data: the job is tried again; what the log said of its text is gone).
    """

    job_id: str
    seq: int
    type: str
    data: Mapping[str, Any]


def utc(when: datetime) -> str:
    """As every time is written in the contract: UTC ISO 8601 ending in `Z`, to the millisecond."""
    return when.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def job_json(job: Job, segments: bytes | None = b"[]") -> bytes:
    """A Job as the contract has it. `segments` are the stored JSON bytes, passed on as they are; None: without any."""
    return b"".join(job_json_parts(job, segments))


def job_json_parts(job: Job, segments: bytes | None) -> tuple[bytes, ...]:
    """`job_json` in parts, of which `segments` is one: they may be large."""
    shown: dict[str, Any] = {
        "id": job.id,
        "status": job.status.value,
        "task": job.task.value,
        "progress": job.progress,
        "language": job.language,
        "duration_secs": None if job.duration_secs is None else round(job.duration_secs, 3),
        "created_at": utc(job.created_at),
        "completed_at": job.completed_at and utc(job.completed_at),
    }
    optional = {
        "error": job.error,
        "error_code": job.error_code,
        "webhook_url": job.webhook_url,
        "filename": job.filename,
        "priority": job.options.get("priority"),
        "model": job.model,
        "metadata": job.metadata,
    }
    shown |= {name: value for name, value in optional.items() if value is not None}
    head = json.dumps(shown, ensure_ascii=False).encode()
    if segments is None:
        return (head,)
    return head[:-1] + b', "segments": ', segments, b"}"
