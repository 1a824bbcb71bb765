"""The JSON bodies of responses. The OpenAPI document shows these models, and the responses are built from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from fastapi.responses import Response
from pydantic import BaseModel, Field, PlainSerializer, TypeAdapter

from scrivano.comparison.alignment import Kind
from scrivano.domain.job import Job, JobStatus, Priority, Task, utc
from scrivano.domain.speakers import Turn, overlaps
from scrivano.running.model_state import ModelState

__all__ = [
    "EXAMPLE_JOB_ID",
    "ChecksResponse",
    "ComparisonResponse",
    "CorrectedSegment",
    "DeliveryListResponse",
    "DeliveryResponse",
    "ErrorResponse",
    "FailedChecksResponse",
    "HealthResponse",
    "HistoryResponse",
    "HistorySample",
    "JobListResponse",
    "JobQuality",
    "JobResponse",
    "JobSegment",
    "JobSpeaker",
    "JobSummary",
    "ModelActionResponse",
    "ModelDevice",
    "ModelDownload",
    "ModelEngine",
    "ModelStatusResponse",
    "NotReadyResponse",
    "OpenAIError",
    "OpenAIErrorResponse",
    "ResponseModel",
    "ServedModelStatus",
    "SpanResponse",
    "StreamTokenResponse",
    "SubmittedResponse",
    "UploadResponse",
    "UtcTime",
    "VersionListResponse",
    "VersionResponse",
    "VoiceListResponse",
    "VoiceResponse",
    "WaitingFor",
    "WaveformResponse",
    "WebhookTestResponse",
    "job_json",
    "job_json_chunks",
]

EXAMPLE_JOB_ID = "6f9619ff-8b86-4d01-b42d-00cf4fc964ff"

UtcTime = Annotated[datetime, PlainSerializer(utc, return_type=str)]


class ResponseModel(BaseModel):
    """A JSON body. A field with a default is absent while it has that value; other fields are always present."""

    def to_json(self) -> bytes:
        return self.model_dump_json(exclude_defaults=True).encode()

    def response(self, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
        return Response(self.to_json(), status, headers, media_type="application/json")


# Errors


class ErrorResponse(ResponseModel):
    error: str = Field(description="What went wrong and what to do.", examples=[f"job {EXAMPLE_JOB_ID} not found"])


class NotReadyResponse(ErrorResponse):
    error: str = Field(examples=["model_not_ready"])
    state: ModelState = Field(description="Not `ready`.", examples=["unloaded"])
    retry_after_secs: int = Field(description="Also in the header `Retry-After`.", examples=[30])
    last_error: str | None = Field(default=None, description="Why the last load failed; only if it did.")


class OpenAIError(BaseModel):
    message: str = Field(description="What went wrong and what to do.")
    type: str = Field(examples=["invalid_request_error"])
    param: str | None = Field(description="The field that caused it.", examples=["response_format"])
    code: str | None = Field(description="Stable.", examples=["invalid_value"])


class OpenAIErrorResponse(ResponseModel):
    error: OpenAIError


# Jobs


class SubmittedResponse(ResponseModel):
    job_id: str = Field(examples=[EXAMPLE_JOB_ID])


class JobWord(BaseModel):
    text: str = Field(
        description="With the space before it; joined words are the segment's text.", examples=[" director"]
    )
    start: float = Field(examples=[0.41])
    end: float = Field(examples=[0.93])
    probability: float = Field(description="0 to 1.", examples=[0.98])
    speaker: str | None = Field(
        default=None, description="Who says it: an id in the job's `speakers`; only if they were asked for."
    )


class UncoveredSpeech(BaseModel):
    start: float = Field(description="Seconds from the start of the file.", examples=[61.3])
    end: float = Field(examples=[63.1])


class DoubtfulSegment(BaseModel):
    index: int = Field(description="Of the segment in `segments`.", examples=[12])
    start: float = Field(description="Seconds from the start of the file.", examples=[70.2])
    end: float = Field(examples=[71.0])
    reasons: list[str] = Field(
        description="`improbable`, `guessed` (improbable words), `repeats`, `too_fast`, `no_speech` (no speech there), "
        "`language` (another one is spoken).",
        examples=[["guessed"]],
    )


class JobQuality(BaseModel):
    """How far the transcript can be trusted."""

    coverage: float | None = Field(
        description="Share of the seconds of detected speech that have words, 0 to 1; null without speech.",
        examples=[0.9912],
    )
    uncovered: list[UncoveredSpeech] = Field(
        description="Speech without words: a second or more, or less far from any word."
    )
    repaired: int = Field(description="Stretches of speech that got words when they were decoded again.", examples=[1])
    loops_cut: int = Field(description="Repetitions of the model that were cut out of the text.", examples=[0])
    doubtful: list[DoubtfulSegment] = Field(description="Segments whose text may be wrong.")
    word_probability: float | None = Field(
        description="Mean probability of the words; null without word times.", examples=[0.9307]
    )


class SegmentQuality(BaseModel):
    word_probability: float | None = Field(description="Mean probability of its words.", examples=[0.9512])
    doubtful: list[str] = Field(description="Why its text may be wrong; as `reasons` in the job's `quality`.")
    repaired: bool = Field(description="Whether its speech had no words at first.", examples=[False])


class JobSegment(BaseModel):
    index: int = Field(examples=[0])
    start: float = Field(description="Seconds from the start of the file.", examples=[0.29])
    end: float = Field(examples=[2.99])
    text: str = Field(examples=["The director will arrive at the park next week."])
    words: list[JobWord] = Field(description="May be empty.")
    avg_logprob: float = Field(
        description="Mean log probability of the tokens: 0 is certain, -1 is poor.", examples=[-0.21]
    )
    no_speech_prob: float = Field(description="0 to 1.", examples=[0.01])
    compression_ratio: float = Field(description="Above 2.4 the text repeats itself.", examples=[1.2])
    temperature: float = Field(description="Temperature of decoding; 0: beam search.", examples=[0.0])
    tokens: list[int] = Field(description="The model's tokens of the text; empty where a segment was divided.")
    quality: SegmentQuality | None = Field(default=None, description="Missing in jobs of earlier versions.")
    language: str | None = Field(
        default=None, description="Language of the segment; only in multilingual jobs.", examples=["it"]
    )
    speaker: str | None = Field(
        default=None, description="Who says it: an id in the job's `speakers`; only if they were asked for."
    )


class JobSpeaker(BaseModel):
    id: str = Field(description="Never changes, and is never used for another voice.", examples=["S1"])
    name: str = Field(examples=["Speaker 1"])
    seconds: float = Field(description="How long they speak.", examples=[42.5])


class JobOverlap(BaseModel):
    start: float = Field(description="Seconds from the start of the file.", examples=[12.3])
    end: float = Field(examples=[13.1])
    speakers: list[str] = Field(description="Their ids.", examples=[["S1", "S2"]])


class OriginalText(BaseModel):
    text: str = Field(examples=["The director will arrive at the park next week."])
    words: list[JobWord]
    tokens: list[int]
    quality: SegmentQuality | None = Field(default=None, description="Missing in jobs of earlier versions.")


class CorrectedSegment(JobSegment):
    original: OriginalText | None = Field(
        default=None, description="What the model wrote; only in segments that were corrected."
    )


class JobAudio(BaseModel):
    track: int = Field(description="Number of the audio track in the file, from 0.", examples=[0])
    codec: str = Field(description="FFmpeg's name of its decoder.", examples=["aac"])
    channels: int = Field(examples=[2])
    sample_rate: int = Field(examples=[48000])
    duration: float | None = Field(description="Seconds that the file claims, which may be wrong.", examples=[7.084])
    start: float = Field(description="Seconds from the start of the file to the first sound.", examples=[0.0])
    tracks: list[int] = Field(
        default=[], description="All tracks that were read; only if several were.", examples=[[0, 1]]
    )
    channel_content: str | None = Field(
        default=None,
        description="What the channels are: `voices` (one on each), `copy`, `delayed_copy`, `inverted_copy`, `one_side`"
        " (the others are silent or hiss) or `stereo`; null: there is one, or it is not known.",
        examples=["voices"],
    )
    sides: int = Field(
        default=1,
        description="How many channels or tracks were transcribed each for itself, as a speaker.",
        examples=[2],
    )


class JobWarning(BaseModel):
    code: str = Field(description="Stable.", examples=["ended_early"])
    message: str = Field(examples=["the recording ended early, at 12.1 s of 35.1 s; the rest is missing"])
    at: float | None = Field(description="Seconds from the start of the file; null: all of it.", examples=[12.1])


class JobSummary(ResponseModel):
    id: str = Field(examples=[EXAMPLE_JOB_ID])
    status: JobStatus = Field(examples=["done"])
    task: Task = Field(examples=["transcribe"])
    progress: int = Field(description="Percent, 0 to 100.", examples=[100])
    language: str | None = Field(
        description="Null until given or detected. Of a multilingual job that is done: the language spoken longest.",
        examples=["en"],
    )
    duration_secs: float | None = Field(description="Null until processing starts.", examples=[7.084])
    created_at: UtcTime = Field(examples=["2026-01-31T12:00:00.000Z"])
    completed_at: UtcTime | None = Field(
        description="Null until the job has ended.", examples=["2026-01-31T12:00:04.250Z"]
    )
    error: str | None = Field(default=None, description="Only if the job failed.")
    error_code: str | None = Field(default=None, description="Only if the job failed; stable.")
    webhook_url: str | None = Field(default=None, description="Only if one was given.")
    filename: str | None = Field(default=None, description="As uploaded.")
    priority: Priority | None = Field(default=None, description="Only if it is not `normal`.", examples=["bulk"])
    model: str | None = Field(default=None, description="Only if it is not the default model.", examples=["small"])
    metadata: dict[str, str] | None = Field(
        default=None, description="As submitted; only if some was.", examples=[{"customer": "42"}]
    )
    audio: JobAudio | None = Field(
        default=None, description="The audio track that was transcribed; only after the recording was read."
    )
    warnings: list[JobWarning] = Field(
        default=[], description="About the recording, such as damaged or missing parts; only if there are some."
    )
    quality: JobQuality | None = Field(
        default=None, description="How far the transcript can be trusted; only of jobs that are done."
    )
    speakers: list[JobSpeaker] | None = Field(
        default=None,
        description="In the order in which they begin to speak; only if they were asked for and found. While the job"
        " runs: those so far, who may change.",
    )
    version: int | None = Field(
        default=None,
        description="Number of the version that is shown; only if the job was transcribed again.",
        examples=[2],
    )
    version_of: str | None = Field(
        default=None, description="The job that this is a version of; only if it is one.", examples=[EXAMPLE_JOB_ID]
    )
    chunk: int | None = Field(default=None, description="Chunks that are decoded; only while it runs.", examples=[3])
    chunks_total: int | None = Field(default=None, description="Only while it runs.", examples=[7])
    excerpt: str | None = Field(
        default=None, description="The text around what was searched for; only in `GET /jobs?search=`."
    )

    @classmethod
    def of(cls, job: Job) -> Self:
        return cls(
            id=job.id,
            status=job.status,
            task=job.task,
            progress=job.progress,
            language=job.language,
            duration_secs=None if job.duration_secs is None else round(job.duration_secs, 3),
            created_at=job.created_at,
            completed_at=job.completed_at,
            error=job.error,
            error_code=job.error_code,
            webhook_url=job.webhook_url,
            filename=job.filename,
            priority=job.options.get("priority"),
            model=job.model,
            metadata=job.options.get("metadata"),
            audio=None if job.audio is None else JobAudio.model_validate(job.audio),
            warnings=[JobWarning.model_validate(warning) for warning in job.warnings or ()],
            quality=None if job.quality is None else JobQuality.model_validate(job.quality),
            speakers=None if job.speakers is None else [JobSpeaker.model_validate(one) for one in job.speakers],
            version=job.version,
            version_of=job.version_of,
        )


class WaitingFor(BaseModel):
    """What a job waits for while its model is not ready."""

    model: str = Field(examples=["large-v3"])
    state: ModelState = Field(description="Not `ready`.", examples=["unloaded"])
    last_error: str | None = Field(default=None, description="Why the last load failed; only if it did.")
    retry_in_secs: int | None = Field(
        default=None, description="When the model is loaded; only if that is known.", examples=[42]
    )
    missing: str | None = Field(
        default=None, description="Only while an engine waits for a place in a cluster, and not for memory."
    )


class JobResponse(JobSummary):
    waiting_for: WaitingFor | None = Field(default=None, description="Only while the job waits for its model.")
    overlaps: list[JobOverlap] | None = Field(
        default=None, description="Where several speak at once; only if the job has speakers."
    )
    segments: list[CorrectedSegment] = Field(description="Empty until the job is done.")


class JobListResponse(ResponseModel):
    jobs: list[JobSummary] = Field(description="Newest first, each without `segments`.")
    next_cursor: str | None = Field(description="The `cursor` of the next page; null on the last one.")


def job_json_chunks(
    job: Job, segments: bytes = b"[]", waiting_for: WaitingFor | None = None, turns: Sequence[Turn] = ()
) -> tuple[bytes, ...]:
    """The JSON of a `JobResponse`. `segments` is the JSON that the store has: it may be megabytes, so it is neither
    parsed nor copied."""
    waits = b"" if waiting_for is None else b',"waiting_for":' + waiting_for.model_dump_json(exclude_none=True).encode()
    both = b"" if job.speakers is None else b',"overlaps":' + _OVERLAPS.dump_json(_overlaps(turns))
    return JobSummary.of(job).to_json()[:-1] + waits + both + b',"segments":', segments, b"}"


def job_json(job: Job, segments: bytes = b"[]", turns: Sequence[Turn] = ()) -> bytes:
    return b"".join(job_json_chunks(job, segments, turns=turns))


_OVERLAPS = TypeAdapter(list[JobOverlap])


def _overlaps(turns: Sequence[Turn]) -> list[JobOverlap]:
    return [JobOverlap(start=start, end=end, speakers=list(both)) for start, end, both in overlaps(turns)]


class VersionResponse(ResponseModel):
    number: int = Field(description="The first transcript of the job is 1.", examples=[2])
    id: str = Field(
        description="Its own id: `/jobs/{id}` and all routes below it take it.", examples=[f"{EXAMPLE_JOB_ID}-v2"]
    )
    current: bool = Field(description="Whether the job shows this version.", examples=[True])
    status: JobStatus = Field(description="As of a job.", examples=["done"])
    progress: int = Field(description="Percent, 0 to 100.", examples=[100])
    created_at: UtcTime = Field(examples=["2026-01-31T12:00:00.000Z"])
    completed_at: UtcTime | None = Field(description="Null until it has ended.", examples=["2026-01-31T12:00:04.250Z"])
    task: Task = Field(examples=["transcribe"])
    language: str | None = Field(description="Null until given or detected.", examples=["en"])
    model: str | None = Field(
        description="The model that made it, or will; null if the server did not store that.", examples=["small"]
    )
    options: dict[str, Any] = Field(
        description="The options that were given; all others are the server's.", examples=[{"beam_size": 1}]
    )
    quality: JobQuality | None = Field(
        default=None, description="How far its transcript can be trusted; only if it is done."
    )
    error: str | None = Field(default=None, description="Only if it failed.")
    error_code: str | None = Field(default=None, description="Only if it failed; stable.")


class VersionListResponse(ResponseModel):
    job_id: str = Field(examples=[EXAMPLE_JOB_ID])
    current: int = Field(description="Number of the version that the job shows: the newest that is done.", examples=[2])
    versions: list[VersionResponse] = Field(description="Oldest first.")


class SpanResponse(BaseModel):
    kind: Kind = Field(
        description="`equal`, `substituted`, `deleted` (only `a` has it) or `inserted` (only `b` has it).",
        examples=["substituted"],
    )
    a: str = Field(description="The words of version `a`.", examples=["director"])
    b: str = Field(description="The words of version `b`.", examples=["doctor"])
    start: float | None = Field(description="Seconds from the start of the file.", examples=[0.41])
    end: float | None = Field(examples=[0.93])


class ComparisonResponse(ResponseModel):
    job_id: str = Field(examples=[EXAMPLE_JOB_ID])
    a: VersionResponse
    b: VersionResponse
    unit: Literal["word", "character"] = Field(
        description="What is counted: `word`, or `character` in languages without spaces."
    )
    length_a: int = Field(description="Words of version `a`.", examples=[1200])
    length_b: int = Field(examples=[1203])
    equal: int = Field(examples=[1150])
    substituted: int = Field(examples=[45])
    deleted: int = Field(description="Words that only `a` has.", examples=[5])
    inserted: int = Field(description="Words that only `b` has.", examples=[8])
    difference: float = Field(
        description="Share of words that differ, of the longer version: 0 to 1.", examples=[0.0482]
    )
    spans: list[SpanResponse] = Field(description="Both texts in order, as runs of words of one kind.")


class WaveformResponse(ResponseModel):
    peak_secs: float = Field(description="Seconds of each peak.", examples=[0.05])
    peaks: list[int] = Field(description="From 0 (silence) to 255 (as loud as possible).", examples=[[0, 31, 118, 64]])


class UploadResponse(ResponseModel):
    id: str = Field(examples=[EXAMPLE_JOB_ID])
    size_bytes: int = Field(description="Size of the whole file.", examples=[1048576])
    offset_bytes: int = Field(description="Bytes that have been stored.", examples=[524288])
    created_at: UtcTime = Field(examples=["2026-01-31T12:00:00.000Z"])
    expires_at: UtcTime = Field(
        description="When it is deleted, unless more bytes arrive.", examples=["2026-02-01T12:00:00.000Z"]
    )
    job_id: str | None = Field(description="Null until the upload is complete.", examples=[EXAMPLE_JOB_ID])


class VoiceResponse(ResponseModel):
    id: str = Field(examples=[EXAMPLE_JOB_ID])
    name: str = Field(examples=["Ada"])
    owner: str | None = Field(
        description="The id of the API key that it belongs to; null: it was enrolled without a key.",
        examples=["0f1e2d3c4b5a"],
    )
    created_at: UtcTime = Field(examples=["2026-01-31T12:00:00.000Z"])


class VoiceListResponse(ResponseModel):
    voices: list[VoiceResponse] = Field(description="In the order in which they were enrolled.")


class StreamTokenResponse(ResponseModel):
    token: str = Field(description="For the query parameter `token`.", examples=["sct_0f1e2d3c4b5a.1769860800.…"])
    expires_at: UtcTime = Field(examples=["2026-01-31T12:10:00.000Z"])


# Model


class ModelDownload(BaseModel):
    done_bytes: int
    total_bytes: int | None = None


class ModelDevice(BaseModel):
    gpu: int
    state: ModelState


class ModelEngine(BaseModel):
    node: str | None = Field(description="The machine that it runs on; null: it waits for one.")
    state: ModelState


class ServedModelStatus(ResponseModel):
    state: ModelState
    model: str | None = Field(default=None, description="Its name.")
    loaded_at: UtcTime | None = Field(default=None, description="Only when ready.")
    missing: str | None = Field(
        default=None, description="Only while an engine waits for a place in a cluster, and not for memory."
    )
    vram_needed_mb: int | None = Field(default=None, description="Only while waiting for memory.")
    vram_free_mb: int | None = Field(default=None, description="Only while waiting for memory.")
    retry_in_secs: int | None = Field(default=None, description="Only while waiting for memory.")
    download: ModelDownload | None = Field(default=None, description="Only while the model is being downloaded.")
    last_error: str | None = Field(default=None, description="Why the last load failed, until a load succeeds.")
    devices: list[ModelDevice] | None = Field(default=None, description="Only if several GPUs share the work.")
    engines: list[ModelEngine] | None = Field(default=None, description="Only with engines in a cluster.")


class ModelStatusResponse(ServedModelStatus):
    vram_used_mb: int | None = Field(default=None, description="Only if a GPU can be read.")
    vram_total_mb: int | None = Field(default=None, description="Only if a GPU can be read.")
    models: list[ServedModelStatus] | None = Field(default=None, description="Only if several models are served.")


class ModelActionResponse(ResponseModel):
    status: Literal["load_initiated", "already_ready", "unload_requested"] = Field(examples=["load_initiated"])


# Health


class HealthResponse(ResponseModel):
    status: str = Field(examples=["ok"])
    gpu_name: str | None = Field(examples=["NVIDIA GeForce RTX 4070"])
    vram_total_mb: int | None = Field(examples=[12282])
    model: str = Field(examples=["large-v3"])
    queue_depth: int = Field(description="Jobs that wait; running ones do not count.", examples=[0])
    model_state: ModelState = Field(examples=["ready"])


class HistorySample(BaseModel):
    at: UtcTime = Field(examples=["2026-01-31T12:00:00.000Z"])
    queued: int = Field(description="Jobs that wait.", examples=[2])
    running: int = Field(examples=[1])
    audio_secs: float = Field(description="Seconds of speech decoded since the sample before.", examples=[212.5])
    busy: float = Field(description="Share of this time in which a model decoded, 0 to 1.", examples=[0.97])
    cpu_cores: float | None = Field(description="Processor cores in use; null if unknown.", examples=[1.8])
    memory_mb: int | None = Field(description="Of the server and its models; null if unknown.", examples=[912])
    gpu_used_mb: int | None = Field(description="Null without a GPU.", examples=[None])


class HistoryResponse(ResponseModel):
    interval_secs: float = Field(description="Seconds between two samples.", examples=[10])
    cpu_cores: int | None = Field(description="Processor cores of the machine.", examples=[8])
    gpu_name: str | None = Field(examples=[None])
    gpu_total_mb: int | None = Field(examples=[None])
    samples: list[HistorySample] = Field(description="Oldest first, of the last hour at most.")


class ChecksResponse(ResponseModel):
    status: str = Field(examples=["ok"])
    checks: dict[str, str] = Field(
        description="Result of each check: `ok`, or what is wrong and what to do.", examples=[{"runner": "ok"}]
    )


class FailedChecksResponse(ResponseModel):
    error: str = Field(examples=["the server is stopping"])
    checks: dict[str, str] = Field(examples=[{"runner": "ok", "stopping": "the server is stopping"}])


# Webhooks


class DeliveryResponse(ResponseModel):
    id: str = Field(description="Also the header `webhook-id` of each attempt.", examples=[f"msg_{EXAMPLE_JOB_ID}"])
    url: str = Field(description="Without user, password and query.", examples=["https://example.com/hook?***"])
    kind: str = Field(description="`job`, `model_ready` or `model_unloaded`.", examples=["job"])
    job_id: str | None = Field(examples=[EXAMPLE_JOB_ID])
    status: str = Field(description="`pending`, `delivered`, `failed` or `gone`.", examples=["pending"])
    attempts: int = Field(
        description="Calls made since the delivery or its last redelivery was requested.", examples=[1]
    )
    next_attempt_at: UtcTime | None = Field(description="While pending.", examples=["2030-01-02T03:04:06.000Z"])
    last_error: str | None = Field(examples=["answered 500"])
    last_status_code: int | None = Field(
        description="Status of the last call's response; null without a response.", examples=[500]
    )
    created_at: UtcTime = Field(examples=["2030-01-02T03:04:05.000Z"])
    attempted_at: UtcTime | None = Field(description="When the last call ended.", examples=["2030-01-02T03:04:05.100Z"])
    delivered_at: UtcTime | None = Field(examples=[None])


class DeliveryListResponse(ResponseModel):
    deliveries: list[DeliveryResponse] = Field(description="Newest first.")
    next_cursor: str | None = Field(description="The `cursor` of the next page; null on the last one.", examples=[None])


class WebhookTestResponse(ResponseModel):
    delivered: bool = Field(description="Whether the response was a 2xx.", examples=[False])
    status_code: int | None = Field(description="Status of the response; null without a response.", examples=[404])
    error: str | None = Field(examples=["answered 404"])
    duration_ms: int = Field(examples=[31])
