"""A transcript in the formats of OpenAI's API. Pure."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Any

from scrivano.api.compat.openai_request import OpenAIRequest
from scrivano.domain.languages import LANGUAGES
from scrivano.domain.speakers import default_name
from scrivano.domain.transcript import Segment, Transcript
from scrivano.text.formats import quality_of, render, rounded_seconds, speaker_name_of, whisper_segment
from scrivano.text.shape import Shape

__all__ = ["delta", "diarized_segment", "done", "media_type", "render_body", "segment_event"]

# The speaker of a segment where nobody knows who speaks: OpenAI's clients expect a text.
UNKNOWN_SPEAKER = "unknown"

# The logarithm of 0 does not exist.
MIN_PROBABILITY = 1e-10


def media_type(request: OpenAIRequest) -> str:
    is_json = request.response_format in ("json", "verbose_json", "diarized_json")
    return "application/json" if is_json else "text/plain; charset=utf-8"


def render_body(request: OpenAIRequest, transcript: Transcript) -> str:
    match request.response_format:
        case "json":
            return _dumps(_json(request, transcript))
        case "verbose_json":
            return _dumps(_verbose(request, transcript))
        case "diarized_json":
            return _dumps(_diarized(request, transcript))
        case "text":
            return transcript.text + "\n"
        case subtitles:
            return render(transcript, subtitles, Shape())


def _dumps(document: Any) -> str:
    return json.dumps(document, ensure_ascii=False)


def _json(request: OpenAIRequest, transcript: Transcript) -> dict[str, Any]:
    """Text and usage. Subtitle Edit asks for granularities with this format, and then expects segments in it."""
    document: dict[str, Any] = {"text": transcript.text}
    if request.logprobs:
        document["logprobs"] = _logprobs(transcript.segments)
    if request.segments or request.words:
        document["segments"] = _segments(transcript)
    if request.words:
        document["words"] = _words(transcript)
    return document | {"usage": _usage(transcript)}


def _verbose(request: OpenAIRequest, transcript: Transcript) -> dict[str, Any]:
    document: dict[str, Any] = {
        "task": transcript.task,
        "language": _language_name(transcript),
        "duration": rounded_seconds(transcript.duration),
        "text": transcript.text,
        "segments": _segments(transcript),
    }
    if request.words:
        document["words"] = _words(transcript)
    return document | {"usage": _usage(transcript)} | quality_of(transcript)


def _diarized(request: OpenAIRequest, transcript: Transcript) -> dict[str, Any]:
    return {
        "task": transcript.task,
        "duration": rounded_seconds(transcript.duration),
        "text": transcript.text,
        "segments": [diarized_segment(transcript, index) for index in range(len(transcript.segments))],
        "usage": _usage(transcript),
        **_warnings(transcript),
    }


def _warnings(transcript: Transcript) -> dict[str, Any]:
    """The field `warnings`, left out if there are none. OpenAI does not have it."""
    return {"warnings": [dict(one) for one in transcript.warnings]} if transcript.warnings else {}


def diarized_segment(transcript: Transcript, index: int) -> dict[str, Any]:
    """A segment with its speaker, as a part of the body or as an event. As at OpenAI, a speaker without a name is a
    letter."""
    segment = transcript.segments[index]
    return segment_event(index, segment) | {"speaker": _label(transcript, segment.speaker)}


def _label(transcript: Transcript, speaker: str | None) -> str:
    known = {one.id: (number, one.name) for number, one in enumerate(transcript.speakers)}
    if speaker is None or speaker not in known:
        return UNKNOWN_SPEAKER
    number, name = known[speaker]
    return name if name and name != default_name(speaker) else _letters(number)


def _letters(number: int) -> str:
    """A to Z, then AA, AB, … as in a spreadsheet."""
    return (_letters(number // 26 - 1) if number >= 26 else "") + chr(ord("A") + number % 26)


def delta(request: OpenAIRequest, text: str, segment: Segment | None = None) -> dict[str, Any]:
    event: dict[str, Any] = {"type": "transcript.text.delta", "delta": text}
    if request.logprobs and segment is not None:
        event["logprobs"] = _logprobs([segment], first=not text.startswith(" "))
    return event


def segment_event(index: int, segment: Segment) -> dict[str, Any]:
    return {
        "type": "transcript.text.segment",
        "id": str(index),
        "start": rounded_seconds(segment.start),
        "end": rounded_seconds(segment.end),
        "text": segment.text,
    }


def done(request: OpenAIRequest, transcript: Transcript) -> dict[str, Any]:
    """The last event: the body that the same request without streaming would return."""
    body = {"verbose_json": _verbose, "diarized_json": _diarized}.get(request.response_format, _json)
    return {"type": "transcript.text.done"} | body(request, transcript)


def _language_name(transcript: Transcript) -> str:
    """Of the text: a translation's is English. A recording without speech has none."""
    code = "en" if transcript.task == "translate" else transcript.language
    return LANGUAGES.get(code or "", "unknown")


def _usage(transcript: Transcript) -> dict[str, Any]:
    """Whole seconds, begun ones counted, as OpenAI bills them."""
    return {"type": "duration", "seconds": math.ceil(transcript.duration)}


def _segments(transcript: Transcript) -> list[dict[str, Any]]:
    return [
        whisper_segment(index, segment) | speaker_name_of(segment, transcript)
        for index, segment in enumerate(transcript.segments)
    ]


def _words(transcript: Transcript) -> list[dict[str, Any]]:
    """Words without the space in front of them."""
    return [
        {
            "word": word.text.strip(),
            "start": rounded_seconds(word.start),
            "end": rounded_seconds(word.end),
            **speaker_name_of(word, transcript),
        }
        for segment in transcript.segments
        for word in segment.words
    ]


def _logprobs(segments: Iterable[Segment], *, first: bool = True) -> list[dict[str, Any]]:
    """One entry for each word; OpenAI has one for each token. `logprob` is the logarithm of the word's mean token
    probability. The tokens joined are the text, with a space between segments. `first`: no text precedes them.
    """
    words = [
        (word, "" if index or (first and number == 0) else " ")
        for number, segment in enumerate(segments)
        for index, word in enumerate(segment.words)
    ]
    return [_logprob(f"{space}{word.text}", word.probability) for word, space in words]


def _logprob(token: str, probability: float) -> dict[str, Any]:
    logprob = round(math.log(max(probability, MIN_PROBABILITY)), 4)
    return {"token": token, "logprob": logprob, "bytes": list(token.encode())}
