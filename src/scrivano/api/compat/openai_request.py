"""Parse the forms of OpenAI's transcriptions and translations. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from scrivano.api.compat import known_speakers
from scrivano.api.compat.known_speakers import NAMES, KnownSpeaker, known_speaker_options
from scrivano.domain.errors import BadParameter
from scrivano.domain.job import JobOptions
from scrivano.domain.languages import parse_choice
from scrivano.submission.form_fields import FormFields
from scrivano.submission.job_request import parse_channels, parse_speakers
from scrivano.submission.model_names import ServedModels

__all__ = ["RESPONSE_FORMATS", "OpenAIRequest", "parse"]

RESPONSE_FORMATS = ("json", "text", "srt", "verbose_json", "vtt", "diarized_json")

# OpenAI's model that tells speakers apart; here any model does.
_DIARIZING = "gpt-4o-transcribe-diarize"


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenAIRequest:
    """`model` None: the default one. `segments` and `words`: named in `timestamp_granularities`."""

    language: str | None
    options: JobOptions
    response_format: str
    stream: bool
    segments: bool
    words: bool
    logprobs: bool
    model: str | None = None
    known_speakers: tuple[KnownSpeaker, ...] = ()


def parse(fields: FormFields, models: ServedModels) -> OpenAIRequest:
    """Fields that OpenAI does not have are ignored.

    Raises `BadParameter`, `ModelNotFound`.
    """
    _check_chunking(fields)
    known = known_speakers.parse(fields)
    response_format = _response_format(fields.text("response_format"))
    granularities = _choices(fields, "timestamp_granularities", ("word", "segment"))
    logprobs = "logprobs" in _choices(fields, "include", ("logprobs",))
    stream = fields.flag("stream") or False
    if stream and response_format in ("srt", "vtt"):
        raise BadParameter("stream", f"stream=true sends events: ask for json, not for {response_format}")
    language, languages = parse_choice(fields.text("language"), fields.array("languages"))
    return OpenAIRequest(
        model=models.find(fields.text("model")),
        language=language,
        options=JobOptions(
            prompt=fields.text("prompt"),
            hotwords=", ".join(fields.array("keywords")) or None,
            word_timestamps=True if logprobs or "word" in granularities else None,
            # 0 means the same as for OpenAI: start at 0 and raise it if the text needs it, as this server does anyway.
            temperature=fields.temperature() or None,
            languages=languages,
            **parse_channels(fields),
            **_speakers(fields, response_format, known),
        ),
        known_speakers=known,
        response_format=response_format,
        stream=stream,
        segments="segment" in granularities,
        words="word" in granularities,
        logprobs=logprobs,
    )


def _speakers(fields: FormFields, response_format: str, known: Sequence[KnownSpeaker]) -> dict[str, Any]:
    """`diarized_json`, OpenAI's model for it, and known speakers ask for speakers; so do this server's own fields."""
    diarizes = (fields.text("model") or "").startswith(_DIARIZING)
    asked = {"speakers": True} if diarizes or response_format == "diarized_json" else {}
    own, asked = parse_speakers(fields), asked | known_speaker_options(known)
    if own["speakers"] is False and asked:
        what = NAMES if known else "this model" if diarizes else "diarized_json"
        raise BadParameter("speakers", f"speakers=false contradicts {what}: leave out one or the other")
    return own | asked


def _choices(fields: FormFields, name: str, allowed: Sequence[str]) -> set[str]:
    values = set(fields.array(name))
    for unknown in sorted(values - set(allowed)):
        raise BadParameter(name, f"{name} can have {_or(allowed)}, not '{unknown}'")
    return values


def _response_format(value: str | None) -> str:
    if value is not None and value not in RESPONSE_FORMATS:
        raise BadParameter("response_format", f"response_format must be {_or(RESPONSE_FORMATS)}, not '{value}'")
    return value or "json"


def _check_chunking(fields: FormFields) -> None:
    """This server always cuts audio in silence, which is what each of OpenAI's strategies asks for."""
    kind = fields.text("chunking_strategy[type]") or _chunking_type(fields.text("chunking_strategy"))
    if kind not in (None, "auto", "server_vad"):
        raise BadParameter(
            "chunking_strategy", f"chunking_strategy must be 'auto' or of type 'server_vad', not '{kind}'"
        )


def _chunking_type(text: str | None) -> str | None:
    if text is None or not text.startswith("{"):
        return text
    try:
        return str(json.loads(text).get("type"))
    except ValueError as error:
        raise BadParameter("chunking_strategy", "chunking_strategy must be 'auto' or a JSON object") from error


def _or(names: Sequence[str]) -> str:
    return " or ".join(filter(None, (", ".join(names[:-1]), names[-1])))
