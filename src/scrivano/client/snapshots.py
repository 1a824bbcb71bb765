"""What the server has answered, as values: jobs, versions, voices, models, events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import PurePath
from typing import Any

from scrivano.client.errors import ClientError
from scrivano.domain.speakers import Speaker
from scrivano.domain.transcript import Segment, Transcript, segment_from_dict

__all__ = [
    "JobCancelled",
    "JobEvent",
    "JobFailed",
    "JobSnapshot",
    "ModelStatus",
    "Version",
    "Voice",
    "job_of",
    "model_status_of",
    "versions_of",
    "voice_of",
]


class _JobError(ClientError):
    def __init__(self, job: JobSnapshot) -> None:
        super().__init__(job.error or f"job {job.id} is {job.status}")
        self.job = job


class JobFailed(_JobError):
    code = "job_failed"


class JobCancelled(_JobError):
    code = "job_cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSnapshot:
    """A job at the time of the request. Times are ISO 8601 in UTC; `progress` is percent; `duration_secs` is audio.

    `audio` is the track that was transcribed, `warnings` what is to be said about the recording (`code`, `message`,
    `at`), `quality` how far the transcript can be trusted (`coverage`, `uncovered`, `doubtful`, …). `speakers`: who
    speaks; None: not asked for, or not known. `model`: unless it is the server's default model. `version`: the number
    of the version, if the job has several; `version_of`: the job that this is a version of. `more` has the fields that
    this client does not know.
    """

    id: str
    status: str
    task: str = "transcribe"
    progress: int = 0
    language: str | None = None
    duration_secs: float | None = None
    segments: tuple[Segment, ...] = ()
    error: str | None = None
    webhook_url: str | None = None
    filename: str | None = None
    created_at: str | None = None
    completed_at: str | None = None
    audio: Mapping[str, Any] | None = None
    warnings: Sequence[Mapping[str, Any]] = ()
    quality: Mapping[str, Any] | None = None
    speakers: tuple[Speaker, ...] | None = None
    model: str | None = None
    version: int | None = None
    version_of: str | None = None
    more: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ended(self) -> bool:
        return self.status in ("done", "failed", "cancelled")

    @property
    def transcript(self) -> Transcript:
        """Raises `JobFailed`, `JobCancelled`, or, while the job has not ended, `ClientError`."""
        if self.status == "failed":
            raise JobFailed(self)
        if self.status == "cancelled":
            raise JobCancelled(self)
        if self.status != "done":
            raise ClientError(f"job {self.id} is {self.status}: wait for it first")
        return Transcript(
            language=self.language,
            duration=self.duration_secs or 0.0,
            segments=self.segments,
            task=self.task,
            quality=self.quality,
            speakers=self.speakers or (),
            recording=PurePath(self.filename or self.id).stem,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """A transcript of a job's recording, by one model with some options. `number` 1 is the first one.

    `id` is its own: all calls that take the id of a job take it. `current`: the job shows this version. `options`:
    those that were given. `more` as in `JobSnapshot`.
    """

    number: int
    id: str
    current: bool
    status: str
    created_at: str | None = None
    completed_at: str | None = None
    task: str = "transcribe"
    language: str | None = None
    model: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    more: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Voice:
    """A voice that was enrolled. What it sounds like never leaves the server. `more` as in `JobSnapshot`."""

    id: str
    name: str
    created_at: str | None = None
    more: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelStatus:
    """The model's state: `unloaded`, `loading`, `waiting_for_gpu`, `ready`. `more` as in `JobSnapshot`."""

    state: str
    loaded_at: str | None = None
    vram_needed_mb: int | None = None
    vram_free_mb: int | None = None
    vram_used_mb: int | None = None
    vram_total_mb: int | None = None
    retry_in_secs: int | None = None
    more: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class JobEvent:
    """An event of a job. `type`: `progress`, `segment`, `speakers`, …, at last `done` or `error`. `id`: its number in
    the job's event log."""

    type: str
    data: Mapping[str, Any]
    id: str = ""

    @property
    def last(self) -> bool:
        return self.type in ("done", "error")

    @property
    def job(self) -> JobSnapshot | None:
        """The ended job, if this is a `done` event."""
        return job_of(self.data["job"]) if self.type == "done" else None


def job_of(data: Mapping[str, Any]) -> JobSnapshot:
    segments = tuple(segment_from_dict(one) for one in data.get("segments") or ())
    speakers = None if data.get("speakers") is None else tuple(map(_speaker, data["speakers"]))
    return JobSnapshot(**_known(JobSnapshot, {**data, "segments": segments, "speakers": speakers}))


def _speaker(data: Mapping[str, Any]) -> Speaker:
    return Speaker(id=data["id"], name=data["name"], seconds=data["seconds"])


def voice_of(data: Mapping[str, Any]) -> Voice:
    return Voice(**_known(Voice, data))


def versions_of(data: Mapping[str, Any]) -> list[Version]:
    return [Version(**_known(Version, one)) for one in data["versions"]]


def model_status_of(data: Mapping[str, Any]) -> ModelStatus:
    return ModelStatus(**_known(ModelStatus, data))


def _known(kind: type[JobSnapshot | ModelStatus | Version | Voice], data: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments for `kind`. Values without a field of their own go to `more`."""
    names = {one.name for one in fields(kind)} - {"more"}
    known = {name: value for name, value in data.items() if name in names}
    return known | {"more": {name: value for name, value in data.items() if name not in names}}
