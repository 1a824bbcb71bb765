"""Forms and JSON bodies of the other protocols, as the OpenAPI document shows them."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Header
from pydantic import Field

from scrivano.api.compat.openai_request import RESPONSE_FORMATS
from scrivano.api.documentation import SYNCHRONOUS, errors
from scrivano.api.schemas import OpenAIErrorResponse, ResponseModel
from scrivano.submission.model_names import ALIASES

__all__ = [
    "ASR_BODY",
    "INFERENCE_BODY",
    "LOAD_BODY",
    "OPENAI_RESPONSES",
    "TRANSCRIPTION_BODY",
    "TRANSLATION_BODY",
    "IdempotencyKey",
    "LanguageResponse",
    "ModelList",
    "ModelObject",
    "VersionResponse",
]

IdempotencyKey = Annotated[
    str | None,
    Header(max_length=255, description="The same request sent again with the same key gets the same job."),
]


class ModelObject(ResponseModel):
    id: str = Field(examples=["large-v3-turbo"])
    object: str = Field(examples=["model"])
    created: int = Field(examples=[1663718400])
    owned_by: str = Field(examples=["scrivano"])


class ModelList(ResponseModel):
    object: str = Field(examples=["list"])
    data: list[ModelObject]


class LanguageResponse(ResponseModel):
    detected_language: str = Field(description="Its English name.", examples=["english"])
    language_code: str = Field(
        description="Whisper's code; a guess with a low confidence without speech.", examples=["en"]
    )
    confidence: float = Field(description="0 to 1.", examples=[0.98])


class VersionResponse(ResponseModel):
    version: str = Field(examples=["0.1.0"])


def _form(file_field: str | None, **fields: dict[str, Any]) -> dict[str, Any]:
    file: dict[str, Any] = {}
    if file_field is not None:
        description = "Any format that FFmpeg reads: WAV, MP3, M4A, OGG, FLAC, MP4, MKV, …"
        file = {file_field: {"type": "string", "format": "binary", "description": description}}
    schema = {"type": "object", "required": list(file), "properties": file | fields}
    return {"required": True, "content": {"multipart/form-data": {"schema": schema}}}


# What `/docs` fills in for an optional text or list (see `documentation`): nothing.
_LEFT_OUT = [""]
_EMPTY: list[list[str]] = [[]]


def _text(description: str, **more: Any) -> dict[str, Any]:
    return {"type": "string", "description": description, **more}


def _list(description: str, **items: Any) -> dict[str, Any]:
    return {"type": "array", "items": {"type": "string", **items}, "description": description, "examples": _EMPTY}


_OPENAI_FIELDS: dict[str, dict[str, Any]] = {
    "model": _text(f"A served model; {', '.join(ALIASES)} mean the default one.", examples=["whisper-1"]),
    "prompt": _text("Text that precedes the recording, or spellings to use.", examples=_LEFT_OUT),
    "response_format": _text("Format of the response.", enum=list(RESPONSE_FORMATS), default="json"),
    "temperature": {"type": "number", "minimum": 0, "maximum": 1, "default": 0, "description": "0: as needed."},
}

TRANSCRIPTION_BODY = _form(
    "file",
    **_OPENAI_FIELDS,
    language=_text("A code or an English name. Absent: it is detected.", examples=["", "en"]),
    **{
        "timestamp_granularities[]": _list("Word times at the top level; also with `json`.", enum=["word", "segment"]),
        "include[]": _list("Log probabilities of the words.", enum=["logprobs"]),
        "languages[]": _list("The language is detected among these; a single one is used without detection."),
        "keywords[]": _list("Names and terms to expect."),
    },
    **{
        "known_speaker_names[]": _list("Names of up to 4 speakers who may be in the recording."),
        "known_speaker_references[]": _list("For each name a sample of the voice, 2 to 10 s, as a data URL."),
    },
    num_speakers={"type": "integer", "minimum": 1, "maximum": 50, "description": "How many speakers there are."},
    channels=_text("What to do with several channels.", enum=["auto", "mix", "split"]),
    channel_names=_text("Who speaks on each channel, separated by commas.", examples=["", "agent,customer"]),
    stream={"type": "boolean", "default": False, "description": "Send Server-Sent Events as text becomes known."},
    chunking_strategy=_text("Accepted; audio is always cut in silence.", examples=["auto"]),
)

TRANSLATION_BODY = _form("file", **_OPENAI_FIELDS)

_VERBOSE_EXAMPLE = {
    "task": "transcribe",
    "language": "english",
    "duration": 7.084,
    "text": "The director will arrive.",
    "segments": [
        {
            "id": 0,
            "seek": 29,
            "start": 0.29,
            "end": 2.99,
            "text": "The director will arrive.",
            "tokens": [],
            "temperature": 0.0,
            "avg_logprob": -0.21,
            "compression_ratio": 0.8,
            "no_speech_prob": 0.01,
        }
    ],
    "usage": {"type": "duration", "seconds": 8},
}

_STREAM_EXAMPLE = """\
event: transcript.text.delta
data: {"type": "transcript.text.delta", "delta": "The director will arrive."}

event: transcript.text.done
data: {"type": "transcript.text.done", "text": "The director will arrive.", "usage": {"type": "duration", "seconds": 8}}
"""

OPENAI_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "In the requested format.",
        "content": {
            "application/json": {
                "examples": {
                    "json": {
                        "value": {
                            "text": "The director will arrive.",
                            "usage": {"type": "duration", "seconds": 8},
                        }
                    },
                    "verbose_json": {"value": _VERBOSE_EXAMPLE},
                }
            },
            "text/plain": {"example": "The director will arrive.\n"},
            "text/event-stream": {"schema": {"type": "string"}, "example": _STREAM_EXAMPLE},
        },
    },
    **errors(*SYNCHRONOUS, model=OpenAIErrorResponse),
}

ASR_BODY = _form("audio_file")

INFERENCE_BODY = _form(
    "file",
    response_format=_text("", enum=["json", "text", "srt", "verbose_json", "vtt"], default="json"),
    language=_text("A code or an English name; `auto` detects it.", default="en", examples=["auto"]),
    translate=_text("`true`: to English.", default="false"),
    prompt=_text("Text that precedes the recording.", examples=_LEFT_OUT),
    temperature=_text("0: as needed.", default="0.0"),
    beam_size=_text("Hypotheses kept while decoding; -1: the server's setting.", default="-1"),
    no_language_probabilities=_text(
        "`true`: `verbose_json` does not say which languages were likely.", default="false"
    ),
)

LOAD_BODY = _form(
    None, model=_text("The served model's name, or a path that ends in it.", examples=["whisper-1", "large-v3-turbo"])
)
