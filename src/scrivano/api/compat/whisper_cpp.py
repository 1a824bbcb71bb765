"""`/inference` and `/load`: the protocol of whisper.cpp's server. All parameters are strings in the form."""

from __future__ import annotations

import json
from typing import Any

from fastapi import Response
from fastapi.responses import PlainTextResponse

from scrivano.api.compat.schemas import INFERENCE_BODY, LOAD_BODY, IdempotencyKey
from scrivano.api.documentation import SYNCHRONOUS, errors
from scrivano.api.request_body import BodyDep
from scrivano.api.routing import ErrorFormat, Router
from scrivano.api.services import CallerDep, LongCallsDep, ModelsDep, SubmissionsDep, WaiterDep
from scrivano.auth.keys import Scope
from scrivano.domain.errors import BadParameter
from scrivano.domain.job import JobOptions, Priority, Task
from scrivano.domain.languages import LANGUAGES, parse_language
from scrivano.domain.transcript import Segment, Transcript, Word
from scrivano.submission.form_fields import MAX_BEAM_SIZE, MAX_TEMPERATURE, FormFields
from scrivano.submission.job_request import JobRequest
from scrivano.submission.multipart import Form
from scrivano.submission.waiter import Language
from scrivano.text.formats import render, rounded_seconds
from scrivano.text.shape import Shape

router = Router(tag="whisper.cpp")

# whisper.cpp leaves out languages that are less likely.
LEAST_PROBABILITY = 0.001

MEDIA_TYPES = {
    "json": "application/json",
    "verbose_json": "application/json",
    "text": "text/plain; charset=utf-8",
    "srt": "application/x-subrip; charset=utf-8",
    "vtt": "text/vtt; charset=utf-8",
}


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
        **errors(*SYNCHRONOUS),
    },
    openapi_extra={"requestBody": INFERENCE_BODY},
)
@router.requires(Scope.SUBMIT, takes_recording=True)
async def inference(
    body: BodyDep,
    submissions: SubmissionsDep,
    waiter: WaiterDep,
    long_calls: LongCallsDep,
    caller: CallerDep,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Responds when the job is done; the header `X-Job-Id` has the id of the job.

    Parameters of whisper.cpp that have no meaning here are accepted and have no effect.
    """
    formats: list[str] = []
    detects: list[bool] = []

    def job_request_of(form: Form) -> JobRequest:
        formats.append(_response_format(form.fields))
        detects.append(formats[-1] == "verbose_json" and not form.fields.is_true("no_language_probabilities"))
        return _job_request(form, detect=detects[-1])

    job_id = await submissions.submit_form(body, caller, "file", job_request_of, idempotency_key=idempotency_key)
    format = formats[-1]  # That of the complete form.

    async def content() -> str:
        transcript = await waiter.transcript(job_id)
        if not detects[-1]:
            return _body(format, transcript)
        return _dumps(_verbose(transcript) | _probabilities(await waiter.stored_language(job_id)))

    errors = ErrorFormat.PLAIN if MEDIA_TYPES[format] == "application/json" else None
    return await long_calls.respond(job_id, content(), media_type=MEDIA_TYPES[format], errors=errors)


@router.post(
    "/load",
    summary="Load the model (whisper.cpp)",
    response_class=PlainTextResponse,
    responses=errors(400, 404, 413, 500, 503, 507),
    openapi_extra={"requestBody": LOAD_BODY},
)
@router.requires(Scope.ADMIN, takes_recording=True)
async def load(body: BodyDep, submissions: SubmissionsDep, waiter: WaiterDep, models: ModelsDep) -> str:
    """Load one of the served models, given by its name or a path that ends in its name. Responds when it is loaded."""
    name = (await submissions.read_form(body)).text("model")
    if name is None:
        raise BadParameter("model", "missing 'model' field: the name of a served model, as GET /v1/models lists them")
    await waiter.load_model(models.find(name))
    return "Load was successful!"


def _job_request(form: Form, *, detect: bool) -> JobRequest:
    """whisper.cpp's server accepts numbers of any size, so those that are too large are limited here, not refused.

    Raises `BadRequest`.
    """
    fields = form.fields
    beam_size = int(fields.number("beam_size") or 0)
    temperature = min(MAX_TEMPERATURE, max(0.0, fields.number("temperature") or 0.0))
    return JobRequest(
        task=Task.TRANSLATE if fields.is_true("translate") else Task.TRANSCRIBE,
        language=parse_language("en" if (language := fields.last("language")) is None else language),
        filename=form.filename,
        options=JobOptions(
            prompt=fields.text("prompt"),
            temperature=temperature or None,
            beam_size=min(beam_size, MAX_BEAM_SIZE) if beam_size > 0 else None,
            language_probabilities=detect or None,
        ),
        priority=Priority.INTERACTIVE,
    )


def _response_format(fields: FormFields) -> str:
    name = fields.text("response_format") or "json"
    if name not in MEDIA_TYPES:
        raise BadParameter("response_format", f"response_format must be one of {', '.join(MEDIA_TYPES)}")
    return name


def _body(format: str, transcript: Transcript) -> str:
    match format:
        case "json":
            return _dumps({"text": _lines(transcript)})
        case "verbose_json":
            return _dumps(_verbose(transcript))
        case "text":
            return _lines(transcript)
        case subtitles:
            return render(transcript, subtitles, Shape())


def _dumps(document: Any) -> str:
    return json.dumps(document, ensure_ascii=False)


def _lines(transcript: Transcript) -> str:
    """One line for each segment, with a space in front of it, as whisper.cpp writes it."""
    return "".join(f" {segment.text}\n" for segment in transcript.segments)


def _verbose(transcript: Transcript) -> dict[str, Any]:
    return {
        "task": transcript.task,
        "language": LANGUAGES.get(transcript.language or "", "unknown"),
        "duration": rounded_seconds(transcript.duration),
        "text": _lines(transcript),
        "segments": [_segment(index, segment) for index, segment in enumerate(transcript.segments)],
    }


def _probabilities(language: Language) -> dict[str, Any]:
    """What whisper.cpp adds, unless `no_language_probabilities` is set: what was detected, even if one was given."""
    likely = {code: share for code, share in language.probabilities.items() if share > LEAST_PROBABILITY}
    return {
        "detected_language": LANGUAGES.get(language.code, "unknown"),
        "detected_language_probability": language.probability,
        "language_probabilities": likely,
    }


def _segment(index: int, segment: Segment) -> dict[str, Any]:
    return {
        "id": index,
        "text": f" {segment.text}",
        "start": rounded_seconds(segment.start),
        "end": rounded_seconds(segment.end),
        "tokens": list(segment.tokens),
        "words": [_word(word, first=number == 0) for number, word in enumerate(segment.words)],
        "temperature": segment.temperature,
        "avg_logprob": segment.avg_logprob,
        "no_speech_prob": segment.no_speech_prob,
    }


def _word(word: Word, *, first: bool) -> dict[str, Any]:
    """In whisper.cpp the text of a segment starts with a space, so its first word does: joined words are the text."""
    return {
        "word": f" {word.text}" if first else word.text,
        "start": rounded_seconds(word.start),
        "end": rounded_seconds(word.end),
        "t_dtw": -1,
        "probability": word.probability,
    }
