"""whisper.cpp's server routes over the same jobs. All its parameters are strings in the form."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from fastapi import Request, Response
from fastapi.responses import PlainTextResponse

from scrivano.api.compat.openai_request import ALIASES, served_model
from scrivano.api.compat.schemas import INFERENCE_BODY, LOAD_BODY
from scrivano.api.errors import JOB_ID_HEADER
from scrivano.api.routing import Router
from scrivano.api.schemas import SYNCHRONOUS, refusals
from scrivano.api.services import Services, ServicesDep
from scrivano.auth.keys import Scope
from scrivano.domain.errors import BadParameter
from scrivano.domain.job import JobOptions, Task
from scrivano.domain.languages import LANGUAGES, parse_language
from scrivano.domain.transcript import Segment, Transcript, Word
from scrivano.running.model_state import ModelState
from scrivano.store.wake_ups import MODEL
from scrivano.submission.multipart import Upload
from scrivano.submission.request import MAX_BEAM_SIZE, JobRequest
from scrivano.submission.synchronous import LOOK_S, IdempotencyKey, begin, check_going_on, finish
from scrivano.text.formats import milliseconds, render
from scrivano.text.subtitles import Shape

router = Router(tag="whisper.cpp")

MEDIA_TYPES = {
    "json": "application/json",
    "verbose_json": "application/json",
    "text": "text/plain; charset=utf-8",
    "srt": "application/x-subrip; charset=utf-8",
    "vtt": "text/vtt; charset=utf-8",
}
TRUE = ("1", "true", "yes", "on")


@router.post(
    "/inference",
    summary="Transcribe (whisper.cpp)",
    response_class=Response,
    responses={
        200: {
            "content": {
                "application/json": {"example": {"text": " The director will arrive.\n"}},
                **{kind: {"schema": {"type": "string"}} for kind in ("text/plain", "text/vtt", "application/x-subrip")},
            }
        },
        **refusals(*SYNCHRONOUS),
    },
    openapi_extra={"requestBody": INFERENCE_BODY},
)
@router.requires(Scope.SUBMIT, takes_recording=True)
async def inference(request: Request, services: ServicesDep, idempotency_key: IdempotencyKey = None) -> Response:
    """Answers when the transcript is there; the header `X-Job-Id` names the job underneath.

    Parameters of whisper.cpp that have no meaning here are accepted and do nothing.
    """
    formats: list[str] = []

    def wish(upload: Upload) -> JobRequest:
        formats.append(_response_format(upload.fields))
        return _wish(upload)

    job_id = await begin(services, request, "file", wish, idempotency_key=idempotency_key)
    done = await finish(services, job_id)
    return Response(
        _body(formats[0], done.transcript), media_type=MEDIA_TYPES[formats[0]], headers={JOB_ID_HEADER: job_id}
    )


@router.post(
    "/load",
    summary="Load the model (whisper.cpp)",
    response_class=PlainTextResponse,
    responses=refusals(400, 404, 413, 500, 503, 507),
    openapi_extra={"requestBody": LOAD_BODY},
)
@router.requires(Scope.ADMIN, takes_recording=True)
async def load(request: Request, services: ServicesDep) -> str:
    """One of the served models, by its name or a path that ends in it; any other is refused.

    Answers when it is loaded.
    """
    async with Upload(services.blobs, services.new_id(), "file", services.max_upload_bytes) as form:
        await form.receive(request, on_long=services.runner.load)
    name = form.fields.get("model", "").strip()
    if not name:
        raise BadParameter("model", "missing 'model' field")
    known = next((known for known in (*services.models, *ALIASES) if name.endswith(f"/{known}")), name)
    await _loaded(services, served_model(known, services.models))
    return "Load was successful!"


async def _loaded(services: Services, model: str | None) -> None:
    services.runner.load(model)
    with services.wake_ups.watch(MODEL) as news:
        while services.runner.models[model or services.model].life.state is not ModelState.READY:
            check_going_on(services, model)
            with suppress(TimeoutError):
                await asyncio.wait_for(news.wait(), LOOK_S)
            news.clear()


def _wish(upload: Upload) -> JobRequest:
    """Raises `BadRequest`."""
    fields = upload.fields
    beam_size = int(_number(fields, "beam_size", -1))
    return JobRequest(
        task=Task.TRANSLATE if fields.get("translate", "").lower() in TRUE else Task.TRANSCRIBE,
        language=parse_language(fields.get("language", "en")),
        filename=upload.filename,
        options=JobOptions(
            prompt=fields.get("prompt") or None,
            temperature=min(1.0, max(0.0, _number(fields, "temperature", 0))) or None,
            beam_size=min(beam_size, MAX_BEAM_SIZE) if beam_size > 0 else None,
        ),
        priority="interactive",
    )


def _number(fields: Mapping[str, str], name: str, default: float) -> float:
    try:
        value = float(fields.get(name) or default)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise BadParameter(name, f"{name} must be a number")
    return value


def _response_format(fields: Mapping[str, str]) -> str:
    name = fields.get("response_format") or "json"
    if name not in MEDIA_TYPES:
        raise BadParameter("response_format", f"response_format must be one of {', '.join(MEDIA_TYPES)}")
    return name


def _body(format: str, transcript: Transcript) -> str:
    match format:
        case "json":
            return json.dumps({"text": _lines(transcript)}, ensure_ascii=False)
        case "verbose_json":
            return json.dumps(_verbose(transcript), ensure_ascii=False)
        case "text":
            return _lines(transcript)
        case subtitles:
            return render(transcript, subtitles, Shape())


def _lines(transcript: Transcript) -> str:
    """As there: a line a segment, each with a space before it."""
    return "".join(f" {segment.text}\n" for segment in transcript.segments)


def _verbose(transcript: Transcript) -> dict[str, Any]:
    return {
        "task": transcript.task,
        "language": LANGUAGES.get(transcript.language or "", "unknown"),
        "duration": _seconds(transcript.duration),
        "text": _lines(transcript),
        "segments": [_segment(index, segment) for index, segment in enumerate(transcript.segments)],
    }


def _segment(index: int, segment: Segment) -> dict[str, Any]:
    return {
        "id": index,
        "text": f" {segment.text}",
        "start": _seconds(segment.start),
        "end": _seconds(segment.end),
        "tokens": list(segment.tokens),
        "words": [_word(word, first=number == 0) for number, word in enumerate(segment.words)],
        "temperature": segment.temperature,
        "avg_logprob": segment.avg_logprob,
        "no_speech_prob": segment.no_speech_prob,
    }


def _word(word: Word, *, first: bool) -> dict[str, Any]:
    """As there, the segment's text begins with a space: so does its first word, or joined they would not be it."""
    return {
        "word": f" {word.text}" if first else word.text,
        "start": _seconds(word.start),
        "end": _seconds(word.end),
        "t_dtw": -1,
        "probability": word.probability,
    }


def _seconds(seconds: float) -> float:
    return milliseconds(seconds) / 1000
