"""What `/docs` shows of bodies: their fields, with examples. The routes build the bodies themselves."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

_JOB_ID = "6f9619ff-8b86-4d01-b42d-00cf4fc964ff"


class ErrorView(BaseModel):
    error: str = Field(description="What went wrong and what to do.", examples=[f"job {_JOB_ID} not found"])


REFUSALS = {
    400: "The request cannot be used; the message says what to write instead.",
    404: "There is no such job or model.",
    410: "The job was cancelled meanwhile.",
    413: "The file is larger than MAX_UPLOAD_BYTES.",
    422: "The Idempotency-Key was used for another recording or other parameters.",
    429: "MAX_QUEUE jobs wait already; `Retry-After` says when to come back.",
    500: "The job failed, or the worker is gone for good; the message says which.",
    503: "The server is stopping; the job goes on when it is back.",
    507: "The disk is full.",
}

# What a call that waits for its job can be refused with.
SYNCHRONOUS = (400, 404, 410, 413, 422, 429, 500, 503, 507)


def refusals(*statuses: int, model: type[BaseModel] | None = ErrorView) -> dict[int | str, dict[str, Any]]:
    """For a route's `responses`; `model` is the body, None: there is none."""
    body = {} if model is None else {"model": model}
    return {status: {"description": REFUSALS[status], **body} for status in statuses}


class NotReadyView(BaseModel):
    error: str = Field(examples=["model_not_ready"])
    state: str = Field(description="`unloaded`, `loading` or `waiting_for_gpu`.", examples=["unloaded"])
    retry_after_secs: int = Field(description="Also in the header `Retry-After`.", examples=[30])


class SubmittedView(BaseModel):
    job_id: str = Field(examples=[_JOB_ID])


class UploadView(BaseModel):
    id: str = Field(examples=[_JOB_ID])
    size_bytes: int = Field(description="As its beginning said.", examples=[1048576])
    offset_bytes: int = Field(description="So many are on disk.", examples=[524288])
    created_at: str = Field(examples=["2026-01-31T12:00:00.000Z"])
    expires_at: str = Field(description="When it is deleted, unless more comes.", examples=["2026-02-01T12:00:00.000Z"])
    job_id: str | None = Field(description="Null until it is whole.", examples=[_JOB_ID])


class WordView(BaseModel):
    text: str = Field(
        description="With the space before it; joined words are the segment's text.", examples=[" director"]
    )
    start: float = Field(examples=[0.41])
    end: float = Field(examples=[0.93])
    probability: float = Field(description="0 to 1.", examples=[0.98])


class SegmentView(BaseModel):
    index: int = Field(examples=[0])
    start: float = Field(description="Seconds from the start of the file.", examples=[0.29])
    end: float = Field(examples=[2.99])
    text: str = Field(examples=["The director will arrive at the park next week."])
    words: list[WordView] = Field(description="May be empty.")
    avg_logprob: float = Field(
        description="Mean log probability of the tokens: 0 is certain, -1 is poor.", examples=[-0.21]
    )
    no_speech_prob: float = Field(description="0 to 1.", examples=[0.01])
    compression_ratio: float = Field(description="Above 2.4 the text repeats itself.", examples=[1.2])
    temperature: float = Field(description="0: found by search.", examples=[0.0])
    tokens: list[int] = Field(description="Of the text, as the model wrote it; empty where a segment was divided.")
    language: str | None = Field(
        default=None, description="What is spoken there; only in multilingual jobs.", examples=["it"]
    )


class JobSummaryView(BaseModel):
    id: str = Field(examples=[_JOB_ID])
    status: str = Field(description="`queued`, `running`, `done`, `failed` or `cancelled`.", examples=["done"])
    task: str = Field(examples=["transcribe"])
    progress: int = Field(description="Percent, 0 to 100.", examples=[100])
    language: str | None = Field(
        description="Null until given or detected. A multilingual job's is, in the end, the one spoken longest.",
        examples=["en"],
    )
    duration_secs: float | None = Field(description="Null until processing starts.", examples=[7.084])
    created_at: str = Field(examples=["2026-01-31T12:00:00.000Z"])
    completed_at: str | None = Field(description="Null until the job has ended.", examples=["2026-01-31T12:00:04.250Z"])
    error: str | None = Field(default=None, description="Only when the job failed.")
    error_code: str | None = Field(default=None, description="Only when the job failed; stable.")
    webhook_url: str | None = Field(default=None, description="Only when one was given.")
    filename: str | None = Field(default=None, description="As uploaded.")
    priority: str | None = Field(default=None, description="Only when it is not `normal`.", examples=["bulk"])
    model: str | None = Field(default=None, description="Only when it is not the usual one.", examples=["small"])
    metadata: dict[str, str] | None = Field(
        default=None, description="As submitted; only when there is some.", examples=[{"customer": "42"}]
    )


class JobView(JobSummaryView):
    segments: list[SegmentView] = Field(description="Empty until the job is done.")


class JobListView(BaseModel):
    jobs: list[JobSummaryView] = Field(description="Newest first, each without `segments`.")
    next_cursor: str | None = Field(description="The `cursor` of the next page; null on the last one.")


class DownloadView(BaseModel):
    done_bytes: int
    total_bytes: int | None


class DeviceView(BaseModel):
    gpu: int
    state: str


class OneModelView(BaseModel):
    state: str = Field(description="`unloaded`, `loading`, `waiting_for_gpu` or `ready`.")
    model: str | None = Field(default=None, description="Its name.")
    loaded_at: str | None = Field(default=None, description="Only when ready.")
    vram_needed_mb: int | None = Field(default=None, description="Only while waiting for memory.")
    vram_free_mb: int | None = Field(default=None, description="Only while waiting for memory.")
    retry_in_secs: int | None = Field(default=None, description="Only while waiting for memory.")
    download: DownloadView | None = Field(default=None, description="Only while the model is being downloaded.")
    last_error: str | None = Field(default=None, description="Why the last load failed, until one succeeds.")
    devices: list[DeviceView] | None = Field(default=None, description="Only where several GPUs share the work.")


class ModelView(OneModelView):
    vram_used_mb: int | None = Field(default=None, description="Only where a GPU can be read.")
    vram_total_mb: int | None = Field(default=None, description="Only where a GPU can be read.")
    models: list[OneModelView] | None = Field(default=None, description="Only where several are served.")


class StatusView(BaseModel):
    status: str = Field(examples=["load_initiated"])


class HealthView(BaseModel):
    status: str = Field(examples=["ok"])
    gpu_name: str | None = Field(examples=["NVIDIA GeForce RTX 4070"])
    vram_total_mb: int | None = Field(examples=[12282])
    model: str = Field(examples=["large-v3"])
    queue_depth: int = Field(description="Jobs that wait; running ones do not count.", examples=[0])
    model_state: str = Field(examples=["ready"])


class ChecksView(BaseModel):
    status: str = Field(examples=["ok"])
    checks: dict[str, str] = Field(
        description="What was looked at: `ok`, or what is wrong and what to do.", examples=[{"runner": "ok"}]
    )


class UnfitView(BaseModel):
    error: str = Field(examples=["the server is stopping"])
    checks: dict[str, str] = Field(examples=[{"runner": "ok", "stopping": "the server is stopping"}])


class DeliveryView(BaseModel):
    id: str = Field(description="Also the header `webhook-id` of each try.", examples=[f"msg_{_JOB_ID}"])
    url: str = Field(description="Without user, password and query.", examples=["https://example.com/hook?***"])
    kind: str = Field(description="`job`, `model_ready` or `model_unloaded`.", examples=["job"])
    job_id: str | None = Field(examples=[_JOB_ID])
    status: str = Field(description="`pending`, `delivered`, `failed` or `gone`.", examples=["pending"])
    attempts: int = Field(
        description="Calls made, since the delivery or its last redelivery was asked for.", examples=[1]
    )
    next_attempt_at: str | None = Field(description="While pending.", examples=["2030-01-02T03:04:06.000Z"])
    last_error: str | None = Field(examples=["answered 500"])
    last_status_code: int | None = Field(description="Of the last call's answer; null without one.", examples=[500])
    created_at: str = Field(examples=["2030-01-02T03:04:05.000Z"])
    attempted_at: str | None = Field(description="When the last call ended.", examples=["2030-01-02T03:04:05.100Z"])
    delivered_at: str | None = Field(examples=[None])


class DeliveryListView(BaseModel):
    deliveries: list[DeliveryView] = Field(description="Newest first.")
    next_cursor: str | None = Field(description="The `cursor` of the next page; null on the last one.", examples=[None])


class TestedView(BaseModel):
    delivered: bool = Field(description="Whether the answer was a 2xx.", examples=[False])
    status_code: int | None = Field(description="The answer's; null without one.", examples=[404])
    error: str | None = Field(examples=["answered 404"])
    duration_ms: int = Field(examples=[31])


METRICS_EXAMPLE = """\
# HELP scrivano_jobs_ended_total Jobs that ended, by how.
# TYPE scrivano_jobs_ended_total counter
scrivano_jobs_ended_total{error_code="",outcome="done"} 42.0
"""


_OPTIONS: dict[str, Any] = {
    "languages": {
        "type": "string",
        "description": "Those that the recording may be in: it is detected among them. ISO 639-1, with commas between;"
        " or several fields, named `languages` or `languages[]`.",
        "examples": ["de,en"],
    },
    "multilingual": {
        "type": "boolean",
        "default": False,
        "description": "Several languages may be spoken, one after the other: each segment tells its own. Not together"
        " with `language`.",
    },
    "prompt": {
        "type": "string",
        "description": "Text that the recording continues: its style, and how names are spelt.",
        "examples": ["Minutes of the Scrivano meeting."],
    },
    "hotwords": {
        "type": "string",
        "description": "Words that may be said and that the model would not expect.",
        "examples": ["Scrivano, CTranslate2"],
    },
    "word_timestamps": {"type": "boolean", "description": "Give every word its own times. Unset: as the server does."},
    "vad": {"type": "boolean", "default": True, "description": "`false`: decode what sounds like silence, too."},
    "beam_size": {"type": "integer", "minimum": 1, "maximum": 10, "description": "1 is greedy and fastest."},
    "temperature": {
        "type": "number",
        "minimum": 0,
        "maximum": 1,
        "description": "Where Whisper's ladder of temperatures begins; 0, the default, is a search.",
    },
    "priority": {
        "type": "string",
        "enum": ["interactive", "normal", "bulk"],
        "default": "normal",
        "description": "Whose turn it is. `bulk` waits for the others, but never for ever.",
    },
    "metadata": {
        "type": "string",
        "description": "A JSON object of strings, returned with the job.",
        "examples": ['{"customer": "42"}'],
    },
    "model": {
        "type": "string",
        "description": "One of the served models; left out: the usual one.",
    },
}

SUBMIT_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "properties": {
                    "audio": {
                        "type": "string",
                        "format": "binary",
                        "description": "Any format that FFmpeg reads: WAV, MP3, M4A, OGG, FLAC, MP4, MKV, …"
                        " Required, unless there is an `audio_url`.",
                    },
                    "audio_url": {
                        "type": "string",
                        "format": "uri",
                        "description": "Instead of `audio`: where the server fetches the recording, before it answers.",
                        "examples": ["https://files.example.org/meeting.mp3"],
                    },
                    "language": {
                        "type": "string",
                        "description": "ISO 639-1; leave it out to have it detected.",
                        "examples": ["en"],
                    },
                    "task": {
                        "type": "string",
                        "enum": ["transcribe", "translate"],
                        "default": "transcribe",
                        "description": "`translate`: to English.",
                    },
                    "webhook_url": {
                        "type": "string",
                        "description": "Receives the finished job by POST, and model events until the server ends.",
                        "examples": ["http://127.0.0.1:9000/hook"],
                    },
                    "queue": {
                        "type": "boolean",
                        "default": False,
                        "description": "Accept the job whatever the model's state; it waits for the model.",
                    },
                    **_OPTIONS,
                },
            }
        }
    },
}

_RUNNING = {
    "id": _JOB_ID,
    "status": "running",
    "task": "transcribe",
    "progress": 42,
    "language": "en",
    "duration_secs": 118.2,
    "created_at": "2026-01-31T12:00:00.000Z",
    "completed_at": None,
    "filename": "meeting.mp3",
    "segments": [],
}

_SEGMENT = {
    "index": 0,
    "start": 0.29,
    "end": 2.99,
    "text": "The director will arrive.",
    "words": [
        {"text": "The", "start": 0.29, "end": 0.41, "probability": 0.99},
        {"text": " director", "start": 0.41, "end": 0.93, "probability": 0.98},
        {"text": " will", "start": 0.93, "end": 1.13, "probability": 0.99},
        {"text": " arrive.", "start": 1.13, "end": 2.99, "probability": 0.97},
    ],
    "avg_logprob": -0.21,
    "no_speech_prob": 0.01,
    "compression_ratio": 0.8,
    "temperature": 0.0,
    "tokens": [440, 5391, 486, 8881, 13],
}

JOB_EXAMPLES: dict[str, Any] = {
    "running": {"value": _RUNNING},
    "done": {
        "value": _RUNNING
        | {"status": "done", "progress": 100, "completed_at": "2026-01-31T12:00:04.250Z", "segments": [_SEGMENT]}
    },
    "failed": {
        "value": _RUNNING
        | {
            "status": "failed",
            "progress": 0,
            "completed_at": "2026-01-31T12:00:01.000Z",
            "error": "the file has no audio stream; send a recording with sound",
            "error_code": "no_audio",
        }
    },
}

STREAM_EXAMPLE = """\
id: 3
event: progress
data: {"type": "progress", "percent": 42, "chunk": 3, "chunks_total": 7}

id: 4
event: segment
data: {"type": "segment", "index": 2, "start": 31.2, "end": 33.9, "text": "The director will arrive.", "…": "…"}

id: 8
event: done
data: {"type": "done", "job": {"id": "…", "status": "done", "…": "…"}}
"""

MODEL_EXAMPLES: dict[str, Any] = {
    "unloaded": {"value": {"state": "unloaded", "model": "large-v3"}},
    "loading": {"value": {"state": "loading", "model": "large-v3"}},
    "waiting_for_gpu": {
        "value": {
            "state": "waiting_for_gpu",
            "model": "large-v3",
            "vram_needed_mb": 3951,
            "vram_free_mb": 512,
            "retry_in_secs": 30,
            "vram_used_mb": 11770,
            "vram_total_mb": 12282,
        }
    },
    "ready": {"value": {"state": "ready", "model": "large-v3", "loaded_at": "2026-01-31T12:00:00.000Z"}},
}

MODEL_STREAM_EXAMPLE = """\
id: 1
event: model_loading
data: {"type": "model_loading"}

id: 2
event: model_ready
data: {"type": "model_ready", "loaded_at": "2026-01-31T12:00:00.000Z"}
"""
