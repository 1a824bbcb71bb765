"""A job: one recording to transcribe, and how."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import PurePath
from typing import Any

from scrivano.domain.speakers import Speaker, Turn
from scrivano.domain.transcript import Segment, Transcript


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
NEXT_STATUSES: dict[JobStatus, frozenset[JobStatus]] = {
    JobStatus.QUEUED: frozenset({JobStatus.RUNNING, JobStatus.FAILED, JobStatus.CANCELLED}),
    # running → running is a new attempt: the one before it lost its lease.
    JobStatus.RUNNING: frozenset({JobStatus.RUNNING, JobStatus.DONE, JobStatus.FAILED, JobStatus.CANCELLED}),
    JobStatus.DONE: frozenset(),
    # A retry: `POST /jobs/{id}/retry`.
    JobStatus.FAILED: frozenset({JobStatus.QUEUED}),
    JobStatus.CANCELLED: frozenset({JobStatus.QUEUED}),
}


class Task(StrEnum):
    TRANSCRIBE = "transcribe"
    TRANSLATE = "translate"


class Priority(StrEnum):
    """Which job is worked on first; most urgent first."""

    INTERACTIVE = "interactive"
    NORMAL = "normal"
    BULK = "bulk"


# The purpose of a job that is submitted for its language alone.
DETECT_LANGUAGE = "detect-language"
# That of a job whose only speaker is enrolled.
VOICE_SAMPLE = "voice-sample"
# Longer ones are refused: they cost more, and tell no more of a voice.
LONGEST_SAMPLE_S = 60.0

# The options that JSON has as arrays.
_LISTS = ("languages", "channel_names", "known_speakers", "known_samples")


@dataclass(frozen=True, slots=True, kw_only=True)
class JobOptions:
    """How to decode one job; None: the server's default.

    - `hotwords`: words that probably occur and that the model does not expect
    - `vad` False: the whole recording is decoded, without speech detection
    - `temperature`: the first of Whisper's temperatures, 0 to 1
    - `languages`: ISO 639-1 codes that the detected language is chosen from
    - `multilingual`: the language is detected for each chunk
    - `language_probabilities`: the language of the first chunk is detected also where one was given, as an event only
    - `audio_track`: which audio track of the file to transcribe, by its number (from 0) or its language
    - `channels`: a `ChannelUse`; `channel_names`: who speaks on each channel, in order
    - `speakers`: tell the speakers apart; `num_speakers`: how many there are, else between `min_speakers` and
      `max_speakers`
    - `voices`: speakers who sound like enrolled voices get their names
    - `known_speakers`: names of speakers whose voices came with the request; `known_samples`: SHA-256 of their samples,
      empty where the voice could not be found
    - `purpose`: marks jobs that were not submitted for their transcript, such as a language detection
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
    audio_track: str | None = None
    channels: str | None = None
    channel_names: tuple[str, ...] | None = None
    speakers: bool | None = None
    num_speakers: int | None = None
    min_speakers: int | None = None
    max_speakers: int | None = None
    voices: bool | None = None
    known_speakers: tuple[str, ...] | None = None
    known_samples: tuple[str, ...] | None = None
    language_probabilities: bool | None = None

    @property
    def detects_language(self) -> bool:
        return self.purpose == DETECT_LANGUAGE

    @property
    def is_voice_sample(self) -> bool:
        """Its text is not wanted."""
        return self.purpose == VOICE_SAMPLE

    def stored(self) -> dict[str, Any]:
        """The options that were chosen, as plain JSON values; `restored` reads them back."""
        chosen = {name: value for name, value in asdict(self).items() if value is not None}
        return chosen | {name: list(chosen[name]) for name in _LISTS if name in chosen}

    @classmethod
    def restored(cls, options: Mapping[str, Any]) -> JobOptions:
        """From the stored options of a job, which also hold other values (see `Job.options`)."""
        known = {name: value for name, value in options.items() if name in cls.__dataclass_fields__}
        return cls(**known | {name: tuple(known[name]) for name in _LISTS if name in known})


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One recording to transcribe. `progress` is percent, 0 to 100; `language` is None until given or detected.

    `options` are JSON values: the `JobOptions` that were given, `priority` unless it is normal, `model` unless it is
    the server's default model, `requested_language`, `metadata`, `keep_audio` and `webhook_if`. `owner` is the id
    of the API key that submitted the job; None: it was submitted without a key. `traceparent`: the span that submitted
    the job (W3C Trace Context).

    `audio` and `warnings`: an `AudioTrack` and `RecordingWarning`s as JSON values; None until the recording was read.
    `quality`: how far the transcript can be trusted (`domain.quality`); None until there is one. `speakers`: `Speaker`s
    as JSON values; None: they were not asked for, or are not known. `decoded_by`: the model that made the transcript;
    None until then.

    `version_of`: this is a version of that job, whose recording it shares: made by another model or with other options.
    `version`: the number of this version; of a job, of the version that it shows. None: it has only one.
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
    audio: Mapping[str, Any] | None = None
    warnings: Sequence[Mapping[str, Any]] | None = None
    quality: Mapping[str, Any] | None = None
    speakers: Sequence[Mapping[str, Any]] | None = None
    decoded_by: str | None = None
    version: int | None = None
    version_of: str | None = None

    @property
    def recording_id(self) -> str:
        """The id under which its recording is stored."""
        return self.version_of or self.id

    def transcript(self, segments: Sequence[Segment], turns: Sequence[Turn] = ()) -> Transcript:
        """Its transcript, from what the store has of it."""
        return Transcript(
            language=self.language,
            duration=self.duration_secs or 0.0,
            segments=tuple(segments),
            task=self.task.value,
            speakers=tuple(Speaker(**speaker) for speaker in self.speakers or ()),
            turns=tuple(turns),
            quality=self.quality,
            recording=PurePath(self.filename or self.id).stem,
            warnings=tuple(self.warnings or ()),
        )

    @property
    def decoding(self) -> JobOptions:
        return JobOptions.restored(self.options)

    @property
    def priority(self) -> Priority:
        return Priority(self.options.get("priority", Priority.NORMAL))

    @property
    def model(self) -> str | None:
        """None: the server's default model."""
        return self.options.get("model")

    @property
    def requested_language(self) -> str | None:
        """`language`, unless that was detected: it helps to choose a track, which must be the same in every attempt."""
        return self.options.get("requested_language")

    @property
    def webhook_if(self) -> str | None:
        """Conditions on its quality: if none is true, a job that is done calls no webhook (`quality.meets`)."""
        return self.options.get("webhook_if")

    @property
    def metadata(self) -> Mapping[str, str] | None:
        """Values of the client's own, returned with the job."""
        return self.options.get("metadata")

    @property
    def keep_audio(self) -> bool | None:
        """Whether the recording is kept when the job has ended; None: as the server is set."""
        return self.options.get("keep_audio")


def utc(when: datetime) -> str:
    """The format of all times in the HTTP contract: UTC, ISO 8601, milliseconds, ending in `Z`."""
    return when.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
