"""`/asr`: the protocol of whisper-asr-webservice, for Bazarr, Speakr, Home Assistant and many scripts.

Some of these clients write every response into a file without checking its status, so errors have an empty body.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

from fastapi import Query, Response
from pydantic import BaseModel, Field

from scrivano import __version__
from scrivano.api.compat.schemas import ASR_BODY, IdempotencyKey, LanguageResponse, VersionResponse
from scrivano.api.documentation import SYNCHRONOUS, errors
from scrivano.api.request_body import BodyDep
from scrivano.api.routes.transcripts import disposition
from scrivano.api.routing import ErrorFormat, Router
from scrivano.api.services import CallerDep, LongCallsDep, SubmissionsDep, WaiterDep
from scrivano.auth.keys import Scope
from scrivano.domain.job import JobOptions, Priority, Task
from scrivano.domain.languages import LANGUAGES, parse_language
from scrivano.domain.recording import ChannelUse
from scrivano.domain.transcript import Transcript
from scrivano.submission.job_request import (
    MAX_SPEAKERS,
    JobRequest,
    channel_options,
    language_detection,
    speaker_options,
)
from scrivano.submission.multipart import Form
from scrivano.submission.wav_header import PCM_HEADER
from scrivano.text.formats import render
from scrivano.text.shape import Shape

router = Router(tag="whisper-asr-webservice")

Encode = Annotated[bool, Field(description="false: the file is bare PCM, 16 kHz, mono, signed 16-bit little-endian.")]


Speakers = Annotated[int | None, Field(ge=1, le=MAX_SPEAKERS, description="How many speakers there are.")]


class AsrQuery(BaseModel):
    encode: Encode = True
    task: Task = Task.TRANSCRIBE
    language: str | None = Field(None, description="A code or an English name. Absent: it is detected.")
    initial_prompt: str | None = Field(None, description="Text that precedes the recording.")
    vad_filter: bool | None = Field(
        None, description="false: also decode silence. Absent: only what the voice detector takes for speech."
    )
    word_timestamps: bool = Field(False, description="Word times in the JSON.")
    diarize: bool | None = Field(None, description="Tell the speakers apart. Absent: the server's setting.")
    enable_diarization: bool | None = Field(None, description="The same.")
    num_speakers: Speakers = None
    min_speakers: Speakers = None
    max_speakers: Speakers = None
    channels: ChannelUse | None = Field(
        None, description="What to do with several channels, as in `POST /jobs`. Absent: the server's setting."
    )
    channel_names: str | None = Field(None, description="Who speaks on each channel, separated by commas.")
    output: Literal["txt", "vtt", "srt", "tsv", "json"] = "txt"


@router.post(
    "/asr",
    summary="Transcribe (whisper-asr-webservice)",
    response_class=Response,
    responses={
        200: {"content": {"text/plain": {"example": "The director will arrive.\n"}}},
        **errors(*SYNCHRONOUS, model=None),
    },
    openapi_extra={"requestBody": ASR_BODY},
)
@router.requires(Scope.SUBMIT, takes_recording=True, errors=ErrorFormat.EMPTY)
async def asr(
    body: BodyDep,
    submissions: SubmissionsDep,
    waiter: WaiterDep,
    long_calls: LongCallsDep,
    caller: CallerDep,
    query: Annotated[AsrQuery, Query()],
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Responds when the job is done; the header `X-Job-Id` has the id of the job. Errors have no body."""
    names: list[str | None] = []

    def job_request_of(form: Form) -> JobRequest:
        names.append(form.filename)
        return job_request(query, form.filename)

    job_id = await submissions.submit_form(
        body,
        caller,
        "audio_file",
        job_request_of,
        idempotency_key=idempotency_key,
        prefix=b"" if query.encode else PCM_HEADER,
    )

    async def content() -> str:
        transcript = await waiter.transcript(job_id)
        if not query.word_timestamps:
            transcript = _without_words(transcript, query.output)
        return render(transcript, query.output, Shape())

    return await long_calls.respond(
        job_id,
        content(),
        media_type="text/plain; charset=utf-8",
        headers={
            "Asr-Engine": "scrivano",
            "Content-Disposition": disposition(names[-1], job_id, query.output),
        },
        errors=ErrorFormat.PLAIN if query.output == "json" else None,
    )


@router.post(
    "/detect-language",
    summary="Detect the language (whisper-asr-webservice)",
    response_model=LanguageResponse,
    responses=errors(*SYNCHRONOUS, model=None),
    openapi_extra={"requestBody": ASR_BODY},
)
@router.requires(Scope.SUBMIT, takes_recording=True, errors=ErrorFormat.EMPTY)
async def detect_language(
    body: BodyDep,
    submissions: SubmissionsDep,
    waiter: WaiterDep,
    long_calls: LongCallsDep,
    caller: CallerDep,
    encode: Annotated[Encode, Query()] = True,
) -> Response:
    """The language of the first speech. Its job is cancelled as soon as the language is known. Errors have no body."""
    job_id = await submissions.submit_form(
        body,
        caller,
        "audio_file",
        lambda form: language_detection(form.filename),
        prefix=b"" if encode else PCM_HEADER,
    )

    async def content() -> bytes:
        language = await waiter.detected_language(job_id)
        return LanguageResponse(
            detected_language=LANGUAGES.get(language.code, "unknown"),
            language_code=language.code,
            confidence=language.probability,
        ).to_json()

    return await long_calls.respond(job_id, content(), media_type="application/json", errors=ErrorFormat.PLAIN)


@router.get("/status", summary="The version (whisper-asr-webservice)", response_model=VersionResponse)
@router.requires(Scope.READ, Scope.SUBMIT)
async def status() -> Response:
    return VersionResponse(version=__version__).response()


def job_request(query: AsrQuery, filename: str | None) -> JobRequest:
    """Raises `BadRequest`.

    Clients (Speakr) always send the numbers of speakers that their user has set, also with `diarize=false`.
    """
    diarize = query.enable_diarization if query.diarize is None else query.diarize
    numbers = query.num_speakers, query.min_speakers, query.max_speakers
    exactly, least, most = (None, None, None) if diarize is False else numbers
    return JobRequest(
        task=query.task,
        language=parse_language(query.language),
        filename=filename,
        options=JobOptions(
            prompt=query.initial_prompt or None,
            word_timestamps=True if query.word_timestamps else None,
            vad=False if query.vad_filter is False else None,
            **channel_options(query.channels, [name.strip() for name in (query.channel_names or "").split(",")]),
            **speaker_options(diarize, exactly, least, most),
        ),
        priority=Priority.INTERACTIVE,
    )


def _without_words(transcript: Transcript, output: str) -> Transcript:
    """Only JSON shows words; subtitles need them for their times."""
    if output != "json":
        return transcript
    return replace(transcript, segments=tuple(replace(segment, words=()) for segment in transcript.segments))
