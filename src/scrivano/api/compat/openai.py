"""`/v1`: OpenAI's audio API over the same jobs, for every client that speaks it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from typing import Annotated, Any

from fastapi import Path, Response
from sse_starlette import EventSourceResponse, ServerSentEvent

from scrivano.api.compat import openai_responses as openai_bodies
from scrivano.api.compat.openai_request import Asked, parse
from scrivano.api.compat.schemas import (
    OPENAI_RESPONSES,
    TRANSCRIPTION_BODY,
    TRANSLATION_BODY,
    IdempotencyKey,
    ModelList,
    ModelObject,
    OpenAIErrorView,
)
from scrivano.api.errors import JOB_ID_HEADER, openai_error, problem_of
from scrivano.api.request_body import BodyDep
from scrivano.api.routing import ErrorFormat, Router
from scrivano.api.schemas import refusals
from scrivano.api.services import Services, ServicesDep
from scrivano.api.sse import PING_S
from scrivano.auth.keys import Scope
from scrivano.domain.errors import ScrivanoError
from scrivano.domain.job import Priority, Task
from scrivano.submission.job_request import JobRequest
from scrivano.submission.model_names import ALIASES, served_model
from scrivano.submission.multipart import Form
from scrivano.submission.request_body import RequestBody

router = Router(tag="openai", prefix="/v1", errors=ErrorFormat.OPENAI)

# Clients demand a time: that of Whisper's publication, 2022-09-21.
CREATED = 1663718400


@router.post(
    "/audio/transcriptions",
    summary="Transcribe (OpenAI)",
    response_class=Response,
    responses=OPENAI_RESPONSES,
    openapi_extra={"requestBody": TRANSCRIPTION_BODY},
)
@router.requires(Scope.SUBMIT, takes_recording=True)
async def transcriptions(body: BodyDep, services: ServicesDep, idempotency_key: IdempotencyKey = None) -> Response:
    """Answers when the transcript is there, however long it takes; the header `X-Job-Id` names the job underneath.

    With `stream=true`: events, as the text becomes known. The same recording with the same parameters, sent again
    within an hour or with the same `Idempotency-Key`, is not computed again.
    """
    return await _serve(body, services, Task.TRANSCRIBE, idempotency_key)


@router.post(
    "/audio/translations",
    summary="Translate to English (OpenAI)",
    response_class=Response,
    responses=OPENAI_RESPONSES,
    openapi_extra={"requestBody": TRANSLATION_BODY},
)
@router.requires(Scope.SUBMIT, takes_recording=True)
async def translations(body: BodyDep, services: ServicesDep, idempotency_key: IdempotencyKey = None) -> Response:
    """As `/v1/audio/transcriptions`, with English text."""
    return await _serve(body, services, Task.TRANSLATE, idempotency_key)


@router.get("/models", summary="The served models and the aliases of the first (OpenAI)", response_model=ModelList)
@router.requires(Scope.READ, Scope.SUBMIT)
async def models(services: ServicesDep) -> dict[str, Any]:
    names = dict.fromkeys((*services.models, *ALIASES))
    return {"object": "list", "data": [_model(name) for name in names]}


@router.get(
    "/models/{model_id:path}",
    summary="One model (OpenAI)",
    response_model=ModelObject,
    responses=refusals(404, model=OpenAIErrorView),
)
@router.requires(Scope.READ, Scope.SUBMIT)
async def model(model_id: Annotated[str, Path(examples=["whisper-1"])], services: ServicesDep) -> dict[str, Any]:
    served_model(model_id, services.models)
    return _model(model_id)


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": CREATED, "owned_by": "scrivano"}


async def _serve(body: RequestBody, services: Services, task: Task, key: str | None) -> Response:
    asked: list[Asked] = []

    def job_request_of(form: Form) -> JobRequest:
        asked.append(parse(form.fields, services.models))
        return JobRequest(
            task=task,
            language=asked[0].language,
            model=asked[0].model,
            filename=form.filename,
            options=asked[0].options,
            priority=Priority.INTERACTIVE,
        )

    job_id = await services.submissions.submit_form(body, services.caller, "file", job_request_of, idempotency_key=key)
    headers = {JOB_ID_HEADER: job_id}
    if asked[0].stream:
        return EventSourceResponse(_events(services, job_id, asked[0]), headers=headers, ping=PING_S)
    finished = await services.waiter.finish(job_id)
    content, media_type = openai_bodies.render_body(asked[0], finished.transcript)
    return Response(content, media_type=media_type, headers=headers)


async def _events(services: Services, job_id: str, asked: Asked) -> AsyncIterator[ServerSentEvent]:
    """Text as its chunks are done, then the whole. What goes wrong from here on can only be an event."""
    try:
        async for event in _deltas(services, job_id, asked):
            yield _frame(event)
    except ScrivanoError as error:
        yield ServerSentEvent(event="error", data=json.dumps(openai_error(problem_of(error)), ensure_ascii=False))


async def _deltas(services: Services, job_id: str, asked: Asked) -> AsyncIterator[Mapping[str, Any]]:
    said = ""
    index = 0
    async for segment in services.waiter.segments(job_id):
        text = f" {segment.text}" if said else segment.text
        yield openai_bodies.delta(asked, text, segment)
        if asked.segments:
            yield openai_bodies.segment_event(index, segment)
        said += text
        index += 1
    transcript = (await services.waiter.finish(job_id)).transcript
    if transcript.text.startswith(said) and transcript.text != said:
        yield openai_bodies.delta(asked, transcript.text[len(said) :])
    yield openai_bodies.done(asked, transcript)


def _frame(event: Mapping[str, Any]) -> ServerSentEvent:
    return ServerSentEvent(event=event["type"], data=json.dumps(event, ensure_ascii=False))
