"""What the OpenAPI document says beyond the response models: request bodies, examples, descriptions of errors."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from scrivano.api.schemas import EXAMPLE_JOB_ID, ErrorResponse

__all__ = [
    "COMPARISON_EXAMPLE",
    "JOB_EXAMPLES",
    "METRICS_EXAMPLE",
    "MODEL_EXAMPLES",
    "MODEL_STREAM_EXAMPLE",
    "RETRY_BODY",
    "STREAM_EXAMPLE",
    "SUBMIT_BODY",
    "SYNCHRONOUS",
    "VERSIONS_EXAMPLE",
    "VOICE_BODY",
    "errors",
]

_ERROR_DESCRIPTIONS = {
    400: "The request is invalid; the message says what to send instead.",
    404: "There is no such job or model.",
    410: "The job was cancelled in the meantime.",
    413: "The file is larger than MAX_UPLOAD_BYTES.",
    422: "The Idempotency-Key was used for another recording or other parameters.",
    429: "MAX_QUEUE jobs are waiting; `Retry-After` says when to try again.",
    500: "The job failed, or the worker has ended; the message says which.",
    503: "The server is stopping; the job continues when it runs again.",
    507: "The disk is full.",
}

# The errors of a request that waits for its job.
SYNCHRONOUS = (400, 404, 410, 413, 422, 429, 500, 503, 507)


def errors(*statuses: int, model: type[BaseModel] | None = ErrorResponse) -> dict[int | str, dict[str, Any]]:
    """For a route's `responses`. `model`: the body; None: there is no body."""
    body = {} if model is None else {"model": model}
    return {status: {"description": _ERROR_DESCRIPTIONS[status], **body} for status in statuses}


METRICS_EXAMPLE = """\
# HELP scrivano_jobs_ended_total Jobs that ended, by how.
# TYPE scrivano_jobs_ended_total counter
scrivano_jobs_ended_total{error_code="",outcome="done"} 42.0
"""


# `/docs` fills in the first example of each form field, and invents a value ("string", 1) for a field that has none.
# Requests as they come must work with any recording, so the first example of an optional text is empty: left out.
_OPTIONS: dict[str, Any] = {
    "languages": {
        "type": "string",
        "description": "The language is detected among these. Codes or English names, separated by commas, or several"
        " fields named `languages` or `languages[]`.",
        "examples": ["", "de,en"],
    },
    "multilingual": {
        "type": "boolean",
        "default": False,
        "description": "The recording may contain several languages, one after another; each segment has its own."
        " Cannot be combined with `language`.",
    },
    "prompt": {
        "type": "string",
        "description": "Text that precedes the recording: the transcript continues its style and spelling.",
        "examples": ["", "Minutes of the Scrivano meeting."],
    },
    "hotwords": {
        "type": "string",
        "description": "Words to expect that the model would not.",
        "examples": ["", "Scrivano, CTranslate2"],
    },
    "word_timestamps": {
        "type": "boolean",
        "description": "Return the times of each word. Absent: the server's setting.",
    },
    "webhook_if": {
        "type": "string",
        "description": "Call the webhook of a job that is done only if one of these holds for its `quality`: "
        "`coverage<0.98`, `word_probability<0.7`, `uncovered`, `doubtful`, `repaired`, `loops_cut`.",
        "examples": ["", "coverage<0.98,doubtful"],
    },
    "vad": {
        "type": "boolean",
        "default": True,
        "description": "`false`: also decode what the voice detector takes for silence.",
    },
    "beam_size": {
        "type": "integer",
        "minimum": 1,
        "maximum": 10,
        "description": "Hypotheses kept while decoding; 1 is greedy and fastest.",
        "examples": [5],
    },
    "temperature": {
        "type": "number",
        "minimum": 0,
        "maximum": 1,
        "default": 0,
        "description": "The first temperature to decode with; 0, the default, is a beam search. Whisper raises it"
        " if the result is poor.",
    },
    "audio_track": {
        "type": "string",
        "description": "Which audio track of the file to transcribe: its number, from 0, or its language. Absent: the"
        " best one that can be decoded, preferably in `language`; if it has no speech, another one.",
        "examples": ["", "1"],
    },
    "channels": {
        "type": "string",
        "enum": ["auto", "mix", "split"],
        "description": "What to do with several channels, or tracks that belong together. `split`: transcribe each for"
        " itself, as a speaker. `mix`: make one of them. `auto`: split a conversation with one voice on each, where"
        " speakers are wanted. Absent: the server's setting.",
        "examples": ["auto"],
    },
    "channel_names": {
        "type": "string",
        "description": "Who speaks on each channel, in order, separated by commas. Absent: the server's setting.",
        "examples": ["", "agent,customer"],
    },
    "speakers": {
        "type": "boolean",
        "description": "Tell the speakers apart: `speaker` on segments and words. Absent: the server's setting.",
    },
    "num_speakers": {
        "type": "integer",
        "minimum": 1,
        "maximum": 50,
        "description": "How many speakers there are. Absent: it is found out.",
        "examples": ["", 2],
    },
    "min_speakers": {"type": "integer", "minimum": 1, "maximum": 50, "description": "At least so many."},
    "max_speakers": {"type": "integer", "minimum": 1, "maximum": 50, "description": "At most so many."},
    "voices": {
        "type": "boolean",
        "description": "Give speakers who sound like voices that were enrolled with this API key their names; implies"
        " `speakers`. Without effect unless the server has VOICES=true.",
    },
    "priority": {
        "type": "string",
        "enum": ["interactive", "normal", "bulk"],
        "default": "normal",
        "description": "The order of jobs. `bulk` waits for the others, but not for ever.",
    },
    "keep_audio": {
        "type": "boolean",
        "description": "Keep the recording when the job has ended, so that it can be played. Absent: the server's"
        " setting.",
    },
    "metadata": {
        "type": "string",
        "description": "A JSON object of strings, returned with the job.",
        "examples": ["", '{"customer": "42"}'],
    },
    "model": {
        "type": "string",
        "description": "One of the served models. Absent: the default model.",
        "examples": ["", "large-v3-turbo"],
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
                        " Required, unless `audio_url` is given.",
                    },
                    "audio_url": {
                        "type": "string",
                        "format": "uri",
                        "description": "Instead of `audio`: the URL of the recording. The server downloads it"
                        " before it responds.",
                        "examples": ["", "https://files.example.org/meeting.mp3"],
                    },
                    "language": {
                        "type": "string",
                        "description": "A code or an English name, such as en or english. Absent: it is detected.",
                        "examples": ["", "en"],
                    },
                    "task": {
                        "type": "string",
                        "enum": ["transcribe", "translate"],
                        "default": "transcribe",
                        "description": "`translate`: to English.",
                    },
                    "webhook_url": {
                        "type": "string",
                        "description": "Receives the finished job by POST, and model events until the server stops.",
                        "examples": ["", "http://127.0.0.1:9000/hook"],
                    },
                    "queue": {
                        "type": "boolean",
                        "default": False,
                        "description": "Accept the job in any state of the model; it waits for the model.",
                        "examples": [True],
                    },
                    **_OPTIONS,
                },
            }
        }
    },
}

_CHANGES: dict[str, Any] = {
    "type": "object",
    "properties": {
        "language": {
            "type": "string",
            "description": "A code or an English name. Blank: it is detected.",
            "examples": ["", "en"],
        },
        "task": {"type": "string", "enum": ["transcribe", "translate"]},
        "webhook_url": {
            "type": "string",
            "description": "Receives the finished version. Absent: that of the job.",
            "examples": ["", "http://127.0.0.1:9000/hook"],
        },
        **_OPTIONS,
    },
}

VOICE_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["name", "audio"],
                "properties": {
                    "name": {"type": "string", "minLength": 1, "maxLength": 100, "examples": ["Ada"]},
                    "audio": {
                        "type": "string",
                        "format": "binary",
                        "description": "5 to 30 seconds of one person alone, in any format.",
                    },
                },
            }
        }
    },
}

RETRY_BODY: dict[str, Any] = {
    "required": False,
    "description": "What differs from the job. Fields that are absent stay as they are.",
    "content": {
        kind: {"schema": _CHANGES, "example": {"beam_size": 1}}
        for kind in ("application/json", "application/x-www-form-urlencoded", "multipart/form-data")
    },
}

_RUNNING = {
    "id": EXAMPLE_JOB_ID,
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
    "quality": {"word_probability": 0.9825, "doubtful": [], "repaired": False},
}

_QUALITY = {
    "coverage": 0.9912,
    "uncovered": [{"start": 61.3, "end": 63.1}],
    "repaired": 1,
    "loops_cut": 0,
    "doubtful": [],
    "word_probability": 0.9307,
}

JOB_EXAMPLES: dict[str, Any] = {
    "running": {"value": _RUNNING},
    "done": {
        "value": _RUNNING
        | {"status": "done", "progress": 100, "completed_at": "2026-01-31T12:00:04.250Z", "segments": [_SEGMENT]}
        | {"quality": _QUALITY}
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

_VERSION_1 = {
    "number": 1,
    "id": f"{EXAMPLE_JOB_ID}-v1",
    "current": False,
    "status": "done",
    "progress": 100,
    "created_at": "2026-01-31T12:00:00.000Z",
    "completed_at": "2026-01-31T12:00:04.250Z",
    "task": "transcribe",
    "language": "en",
    "model": "large-v3",
    "options": {},
}

_VERSION_2 = _VERSION_1 | {
    "number": 2,
    "id": f"{EXAMPLE_JOB_ID}-v2",
    "current": True,
    "created_at": "2026-01-31T12:10:00.000Z",
    "completed_at": "2026-01-31T12:10:02.100Z",
    "model": "small",
    "options": {"beam_size": 1},
}

VERSIONS_EXAMPLE: dict[str, Any] = {"job_id": EXAMPLE_JOB_ID, "current": 2, "versions": [_VERSION_1, _VERSION_2]}

COMPARISON_EXAMPLE: dict[str, Any] = {
    "job_id": EXAMPLE_JOB_ID,
    "a": _VERSION_1,
    "b": _VERSION_2,
    "unit": "word",
    "length_a": 4,
    "length_b": 4,
    "equal": 3,
    "substituted": 1,
    "deleted": 0,
    "inserted": 0,
    "difference": 0.25,
    "spans": [
        {"kind": "equal", "a": "The", "b": "The", "start": 0.29, "end": 0.41},
        {"kind": "substituted", "a": "director", "b": "doctor", "start": 0.41, "end": 0.93},
        {"kind": "equal", "a": "will arrive.", "b": "will arrive.", "start": 0.93, "end": 2.99},
    ],
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
