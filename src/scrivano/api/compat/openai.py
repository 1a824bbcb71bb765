"""`/v1`: OpenAI's audio API."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

from fastapi import Depends, Path, Response
from sse_starlette import EventSourceResponse, ServerSentEvent

from scrivano.api.compat import openai_responses
from scrivano.api.compat.known_speakers import (
    LONG_FIELDS,
    REFERENCES,
    KnownSpeaker,
    check_sample,
    known_speaker_options,
)
from scrivano.api.compat.openai_request import OpenAIRequest, parse
from scrivano.api.compat.schemas import (
    OPENAI_RESPONSES,
    TRANSCRIPTION_BODY,
    TRANSLATION_BODY,
    IdempotencyKey,
    ModelList,
    ModelObject,
)
from scrivano.api.documentation import errors
from scrivano.api.errors import JOB_ID_HEADER, openai_error, problem_of
from scrivano.api.long_calls import LongCalls
from scrivano.api.request_body import BodyDep
from scrivano.api.routing import ErrorFormat, Router
from scrivano.api.schemas import OpenAIErrorResponse
from scrivano.api.services import (
    CallerDep,
    LongCallsDep,
    ModelsDep,
    SubmissionsDep,
    VoiceSamplesDep,
    WaiterDep,
)
from scrivano.api.sse import PING_S, own_connection
from scrivano.auth.keys import Caller, Scope
from scrivano.domain.errors import BadParameter, JobFailed, RecordingRefused, ScrivanoError
from scrivano.domain.job import Priority, Task
from scrivano.domain.speakers import NamedVoice
from scrivano.submission.job_request import JobRequest
from scrivano.submission.model_names import ServedModels
from scrivano.submission.multipart import Form
from scrivano.submission.request_body import RequestBody
from scrivano.submission.submissions import Submissions
from scrivano.submission.voice_samples import VoiceSamples
from scrivano.submission.waiter import Waiter

logger = logging.getLogger(__name__)

router = Router(tag="openai", prefix="/v1", errors=ErrorFormat.OPENAI)

# Clients require a time of creation: Whisper's publication, 2022-09-21.
CREATED = 1663718400


@dataclass(frozen=True, slots=True)
class _Transcriber:
    """What both routes have in common. `models`: those that are served, the default one first."""

    submissions: Submissions
    waiter: Waiter
    long_calls: LongCalls
    models: ServedModels
    voice_samples: VoiceSamples
    caller: Caller

    async def respond(self, body: RequestBody, task: Task, idempotency_key: str | None) -> Response:
        requests: list[OpenAIRequest] = []

        def job_request_of(form: Form) -> JobRequest:
            request = parse(form.fields, self.models)
            requests.append(request)
            return JobRequest(
                task=task,
                language=request.language,
                model=request.model,
                filename=form.filename,
                options=request.options,
                priority=Priority.INTERACTIVE,
            )

        async def with_known_voices(job_request: JobRequest) -> JobRequest:
            known = requests[-1].known_speakers
            voices = await known_voices(self.voice_samples, known, self.caller, requests[-1].model)
            options = replace(job_request.options, **known_speaker_options(known, heard={one.name for one in voices}))
            return replace(job_request, known_voices=voices, options=options)

        job_id = await self.submissions.submit_form(
            body,
            self.caller,
            "file",
            job_request_of,
            idempotency_key=idempotency_key,
            complete=with_known_voices,
            long_fields=LONG_FIELDS,
        )
        request = requests[-1]  # That of the complete form.
        if request.stream:
            frames = self._frames(job_id, request)
            return own_connection(EventSourceResponse(frames, headers={JOB_ID_HEADER: job_id}, ping=PING_S))
        media_type = openai_responses.media_type(request)
        errors = ErrorFormat.OPENAI if media_type == "application/json" else None
        content = self._content(job_id, request)
        return await self.long_calls.respond(job_id, content, media_type=media_type, errors=errors)

    async def _content(self, job_id: str, request: OpenAIRequest) -> str:
        return openai_responses.render_body(request, await self.waiter.transcript(job_id))

    async def _frames(self, job_id: str, request: OpenAIRequest) -> AsyncIterator[ServerSentEvent]:
        """The response has started with status 200, so an error can only be an event."""
        try:
            async for event in self._events(job_id, request):
                yield ServerSentEvent(event=event["type"], data=json.dumps(event, ensure_ascii=False))
        except ScrivanoError as error:
            yield ServerSentEvent(event="error", data=openai_error(problem_of(error)).to_json().decode())

    async def _events(self, job_id: str, request: OpenAIRequest) -> AsyncIterator[Mapping[str, Any]]:
        """Text as its chunks are done, then the whole text."""
        sent_text = ""
        index = 0
        async for segment in self.waiter.segments(job_id):
            text = f" {segment.text}" if sent_text else segment.text
            yield openai_responses.delta(request, text, segment)
            if request.segments and request.response_format != "diarized_json":
                yield openai_responses.segment_event(index, segment)
            sent_text += text
            index += 1
        transcript = await self.waiter.transcript(job_id)
        if transcript.text.startswith(sent_text) and transcript.text != sent_text:
            yield openai_responses.delta(request, transcript.text[len(sent_text) :])
        if request.response_format == "diarized_json":  # the speakers are known only now
            for index in range(len(transcript.segments)):
                yield openai_responses.diarized_segment(transcript, index)
        yield openai_responses.done(request, transcript)


async def known_voices(
    samples: VoiceSamples, speakers: Sequence[KnownSpeaker], caller: Caller, model: str | None
) -> list[NamedVoice]:
    """Their voices, found one after the other: a key may be allowed one job at a time. A voice that the server fails to
    find is left out: the transcript is made without its name. Raises `BadParameter`."""
    found = []
    for speaker in speakers:
        try:
            voice = await samples.hear(speaker.sample, caller, model)
        except RecordingRefused as error:
            raise BadParameter(REFERENCES, f"the sample of {speaker.name} cannot be used: {error}") from error
        except JobFailed as error:
            logger.warning("the voice in a sample was not found", extra={"code": error.code})
            continue
        check_sample(speaker.name, voice.seconds, voice.speech_s)
        found.append(NamedVoice(name=speaker.name, centre=voice.centre or b""))
    return found


async def _transcriber(
    submissions: SubmissionsDep,
    waiter: WaiterDep,
    long_calls: LongCallsDep,
    models: ModelsDep,
    voice_samples: VoiceSamplesDep,
    caller: CallerDep,
) -> _Transcriber:
    return _Transcriber(submissions, waiter, long_calls, models, voice_samples, caller)


TranscriberDep = Annotated[_Transcriber, Depends(_transcriber)]


@router.post(
    "/audio/transcriptions",
    summary="Transcribe (OpenAI)",
    response_class=Response,
    responses=OPENAI_RESPONSES,
    openapi_extra={"requestBody": TRANSCRIPTION_BODY},
)
@router.requires(Scope.SUBMIT, takes_recording=True)
async def transcriptions(
    body: BodyDep, transcriber: TranscriberDep, idempotency_key: IdempotencyKey = None
) -> Response:
    """Responds when the job is done, however long it takes; the header `X-Job-Id` has the id of the job.

    With `stream=true` it sends events as text becomes known. If the same recording with the same parameters is sent
    again within an hour, or with the same `Idempotency-Key`, it gets the same job.
    """
    return await transcriber.respond(body, Task.TRANSCRIBE, idempotency_key)


@router.post(
    "/audio/translations",
    summary="Translate to English (OpenAI)",
    response_class=Response,
    responses=OPENAI_RESPONSES,
    openapi_extra={"requestBody": TRANSLATION_BODY},
)
@router.requires(Scope.SUBMIT, takes_recording=True)
async def translations(body: BodyDep, transcriber: TranscriberDep, idempotency_key: IdempotencyKey = None) -> Response:
    """Like `/v1/audio/transcriptions`; the text is English."""
    return await transcriber.respond(body, Task.TRANSLATE, idempotency_key)


@router.get("/models", summary="The served models, and their aliases (OpenAI)", response_model=ModelList)
@router.requires(Scope.READ, Scope.SUBMIT)
async def models(models: ModelsDep) -> Response:
    return ModelList(object="list", data=[_model(name) for name in models.shown]).response()


@router.get(
    "/models/{model_id:path}",
    summary="One model (OpenAI)",
    response_model=ModelObject,
    responses=errors(404, model=OpenAIErrorResponse),
)
@router.requires(Scope.READ, Scope.SUBMIT)
async def model(model_id: Annotated[str, Path(examples=["whisper-1"])], models: ModelsDep) -> Response:
    models.find(model_id)  # raises `ModelNotFound`
    return _model(model_id).response()


def _model(name: str) -> ModelObject:
    return ModelObject(id=name, object="model", created=CREATED, owned_by="scrivano")
