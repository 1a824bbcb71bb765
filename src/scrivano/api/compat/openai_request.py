"""The form of OpenAI's transcriptions and translations → what is asked for. Pure.

Arrays come as `name[]` (openai-python), `name`, `name[0]`, or several values with commas between them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scrivano.domain.errors import BadParameter, ModelNotFound
from scrivano.domain.job import JobOptions
from scrivano.domain.languages import parse_choice

__all__ = ["ALIASES", "Asked", "Form", "many", "parse", "served_model"]

# OpenAI's models, which clients have built in: here each means the usual model.
ALIASES = ("whisper-1", "gpt-4o-transcribe", "gpt-4o-mini-transcribe", "gpt-transcribe")

RESPONSE_FORMATS = ("json", "text", "srt", "verbose_json", "vtt")

MAX_TEMPERATURE = 1.0

Form = Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """`model` None: the usual one. `segments` and `words`: named in `timestamp_granularities`."""

    language: str | None
    options: JobOptions
    response_format: str
    stream: bool
    segments: bool
    words: bool
    logprobs: bool
    model: str | None = None


def parse(form: Form, models: Sequence[str]) -> Asked:
    """`models`: those that are served, the usual one first. Fields that OpenAI does not have are ignored.

    Raises `BadParameter`, `ModelNotFound`.
    """
    _check_chunking(form)
    response_format = _response_format(_one(form, "response_format"))
    granularities = _some_of(form, "timestamp_granularities", ("word", "segment"))
    logprobs = "logprobs" in _some_of(form, "include", ("logprobs",))
    stream = _flag(form, "stream")
    if stream and response_format in ("srt", "vtt"):
        raise BadParameter("stream", f"stream=true sends events: ask for json, not for {response_format}")
    language, languages = parse_choice(_one(form, "language"), many(form, "languages"))
    return Asked(
        model=served_model(_one(form, "model"), models),
        language=language,
        options=JobOptions(
            prompt=_one(form, "prompt"),
            hotwords=", ".join(many(form, "keywords")) or None,
            word_timestamps=True if logprobs or "word" in granularities else None,
            temperature=_temperature(_one(form, "temperature")),
            languages=languages,
        ),
        response_format=response_format,
        stream=stream,
        segments="segment" in granularities,
        words="word" in granularities,
        logprobs=logprobs,
    )


def _one(form: Form, name: str) -> str | None:
    """The last value of a field; None where it is missing or blank, as some clients send what was left out."""
    return next((value.strip() for value in reversed(form.get(name, ())) if value.strip()), None)


def many(form: Form, name: str) -> list[str]:
    """The values of an array, however it is written."""
    written = re.compile(re.escape(name) + r"(\[\d*\])?")
    given = [value for key, values in form.items() if written.fullmatch(key) for value in values]
    return [item.strip() for value in given for item in value.split(",") if item.strip()]


def _some_of(form: Form, name: str, allowed: Sequence[str]) -> set[str]:
    values = set(many(form, name))
    for unknown in sorted(values - set(allowed)):
        raise BadParameter(name, f"{name} can have {_or(allowed)}, not '{unknown}'")
    return values


def _flag(form: Form, name: str) -> bool:
    value = _one(form, name)
    if value is None or value.lower() in ("false", "0"):
        return False
    if value.lower() in ("true", "1"):
        return True
    raise BadParameter(name, f"{name} must be 'true' or 'false', not '{value}'")


def served_model(name: str | None, models: Sequence[str]) -> str | None:
    """Which of the served models a name means; None: the first, the usual one. Raises `ModelNotFound`."""
    if name is None or name in (models[0], *ALIASES):
        return None
    if name not in models:
        raise ModelNotFound(name, models)
    return name


def _response_format(value: str | None) -> str:
    if value == "diarized_json":
        message = (
            f"diarized_json needs speakers, which this server does not tell apart yet: ask for {_or(RESPONSE_FORMATS)}"
        )
        raise BadParameter("response_format", message)
    if value is not None and value not in RESPONSE_FORMATS:
        raise BadParameter("response_format", f"response_format must be {_or(RESPONSE_FORMATS)}, not '{value}'")
    return value or "json"


def _temperature(text: str | None) -> float | None:
    """None for 0, too: there OpenAI raises it as the text needs it, which is what this server does by itself."""
    try:
        value = float(text or 0)
    except ValueError:
        value = -1.0
    if not 0 <= value <= MAX_TEMPERATURE:
        raise BadParameter("temperature", f"temperature must be a number from 0 to 1, not '{text}'")
    return value or None


def _check_chunking(form: Form) -> None:
    """Audio is always cut in silence here, so each strategy that OpenAI has is met by what is done anyway."""
    kind = _one(form, "chunking_strategy[type]") or _chunking_type(_one(form, "chunking_strategy"))
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
