"""`/jobs/{id}/versions`: the transcripts of one recording by several models or with several options, and their
differences."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated

from fastapi import Depends, Path, Query, Response

from scrivano.api.documentation import COMPARISON_EXAMPLE, VERSIONS_EXAMPLE
from scrivano.api.routes import transcripts
from scrivano.api.routes.jobs import MAX_WAIT_S, JobId, get
from scrivano.api.routing import Router
from scrivano.api.schemas import (
    ComparisonResponse,
    ErrorResponse,
    JobQuality,
    JobResponse,
    SpanResponse,
    VersionListResponse,
    VersionResponse,
)
from scrivano.api.services import CallerDep, ExecutorDep, ModelsDep, StoreDep, WakeUpsDep
from scrivano.auth.keys import Scope
from scrivano.comparison.alignment import Kind, count
from scrivano.comparison.spans import Span, align_tokens, spans_of
from scrivano.comparison.tokens import UNSPACED_LANGUAGES, Token, tokens_of
from scrivano.domain.errors import TranscriptNotReady
from scrivano.domain.job import Job, JobStatus
from scrivano.domain.transcript import segment_from_dict
from scrivano.store.jobs import JobStore
from scrivano.submission.model_names import ServedModels

router = Router(tag="jobs")

Number = Annotated[
    int, Path(ge=1, le=1_000_000, description="Number of the version; the first one is 1.", examples=[1])
]


@router.get(
    "/jobs/{job_id}/versions",
    summary="The versions of a job",
    response_model=VersionListResponse,
    responses={
        200: {"content": {"application/json": {"example": VERSIONS_EXAMPLE}}},
        404: {"model": ErrorResponse},
    },
)
@router.requires(Scope.READ)
def list_versions(job_id: JobId, store: StoreDep, models: ModelsDep, caller: CallerDep) -> Response:
    """Oldest first. A job that was never transcribed again has one. `POST /jobs/{id}/retry` makes another."""
    job, versions = store.versions(job_id, owner=caller.sees)
    shown = [_version_response(version, job, models) for version in versions]
    return VersionListResponse(job_id=job.id, current=job.version or 1, versions=shown).response()


# Before the routes with a number, which would take `compare` for one.
@router.get(
    "/jobs/{job_id}/versions/compare",
    summary="Two versions of a job, word by word",
    response_model=ComparisonResponse,
    responses={
        200: {"content": {"application/json": {"example": COMPARISON_EXAMPLE}}},
        400: {"model": ErrorResponse},
        404: {"model": ErrorResponse, "description": "There is no such job, or it has no such version."},
        409: {"model": ErrorResponse, "description": "One of the versions is not done."},
    },
)
@router.requires(Scope.READ)
def compare(
    job_id: JobId,
    store: StoreDep,
    models: ModelsDep,
    caller: CallerDep,
    a: Annotated[int, Query(ge=1, le=1_000_000, description="Number of the first version.")] = 1,
    b: Annotated[int, Query(ge=1, le=1_000_000, description="Number of the second version.")] = 2,
    equal: Annotated[bool, Query(description="Also return the words that both have.")] = True,
) -> Response:
    """Case and punctuation do not count. Languages without spaces are compared by characters."""
    job, _ = store.versions(job_id, owner=caller.sees)
    first, second = (store.version(job.id, number, owner=caller.sees) for number in (a, b))
    characters = bool({first.language, second.language} & UNSPACED_LANGUAGES)
    text_a, text_b = (_tokens(store, version, characters) for version in (first, second))
    steps = align_tokens(text_a, text_b)
    counts = count(steps)
    spans = [span for span in spans_of(text_a, text_b, steps) if equal or span.kind is not Kind.EQUAL]
    return ComparisonResponse(
        job_id=job.id,
        a=_version_response(first, job, models),
        b=_version_response(second, job, models),
        unit="character" if characters else "word",
        length_a=counts.first,
        length_b=counts.second,
        equal=counts.equal,
        substituted=counts.substituted,
        deleted=counts.deleted,
        inserted=counts.inserted,
        difference=round(counts.edits / max(1, counts.first, counts.second), 4),
        spans=[_span_response(span, characters) for span in spans],
    ).response()


@router.get(
    "/jobs/{job_id}/versions/{number}",
    summary="One version of a job, with its transcript once it is done",
    response_model=JobResponse,
    responses={
        400: {"model": ErrorResponse},
        404: {"model": ErrorResponse, "description": "There is no such job, or it has no such version."},
    },
)
@router.requires(Scope.READ)
async def get_version(
    job_id: JobId,
    number: Number,
    store: StoreDep,
    wake_ups: WakeUpsDep,
    executor: ExecutorDep,
    caller: CallerDep,
    wait: Annotated[
        float, Query(ge=0, le=MAX_WAIT_S, description="Seconds to wait for the version to end before responding.")
    ] = 0,
) -> Response:
    """As `GET /jobs/{id}`, with the version's own `id`: every route of a job takes it, `/stream` and DELETE too."""
    version = store.version(job_id, number, owner=caller.sees)
    return await get(version.id, store, wake_ups, executor, caller, wait)


@router.get(
    "/jobs/{job_id}/versions/{number}/transcript",
    summary="A version's transcript as a file",
    response_class=Response,
    responses=transcripts.RESPONSES,
)
@router.requires(Scope.READ)
def version_transcript(
    job_id: JobId,
    number: Number,
    store: StoreDep,
    caller: CallerDep,
    limits: Annotated[transcripts.Limits, Depends()],
    format: transcripts.FormatParameter = "txt",
    partial: transcripts.PartialParameter = False,
    check: transcripts.CheckParameter = False,
) -> Response:
    """As `GET /jobs/{id}/transcript`."""
    version = store.version(job_id, number, owner=caller.sees)
    return transcripts.transcript(version.id, store, caller, limits, format, partial, check)


def _tokens(store: JobStore, version: Job, characters: bool) -> list[Token]:
    """Raises `TranscriptNotReady`."""
    if version.status is not JobStatus.DONE:
        raise TranscriptNotReady(version.id, version.status)
    segments = map(segment_from_dict, json.loads(store.get_result(version.id) or b"[]"))
    return tokens_of(segments, characters=characters)


def _version_response(version: Job, job: Job, models: ServedModels) -> VersionResponse:
    ended_unknown = version.status.terminal and version.decoded_by is None
    options = {**version.decoding.stored()}
    if version.requested_language is not None:
        options["language"] = version.requested_language
    return VersionResponse(
        number=version.version or 1,
        id=version.id,
        current=(version.version or 1) == (job.version or 1),
        status=version.status,
        progress=version.progress,
        created_at=version.created_at,
        completed_at=version.completed_at,
        task=version.task,
        language=version.language,
        model=version.decoded_by or version.model or (None if ended_unknown else models[0]),
        options=options,
        quality=None if version.quality is None else JobQuality.model_validate(version.quality),
        error=version.error,
        error_code=version.error_code,
    )


def _span_response(span: Span, characters: bool) -> SpanResponse:
    return SpanResponse(
        kind=span.kind,
        a=_text(span.a, characters),
        b=_text(span.b, characters),
        start=None if span.start is None else round(span.start, 3),
        end=None if span.end is None else round(span.end, 3),
    )


def _text(tokens: Sequence[Token], characters: bool) -> str:
    return ("" if characters else " ").join(filter(None, (token.text for token in tokens)))
