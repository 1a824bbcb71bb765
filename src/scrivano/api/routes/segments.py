"""`/jobs/{id}/segments/{index}/correction`: a person's text in place of the model's, in every format and listing."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from fastapi import Path
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from scrivano.api.documentation import errors
from scrivano.api.routes.jobs import JobId
from scrivano.api.routing import Router
from scrivano.api.schemas import CorrectedSegment, ErrorResponse
from scrivano.api.services import CallerDep, StoreDep
from scrivano.auth.keys import Scope
from scrivano.text.corrections import corrected, restored

router = Router(tag="jobs")

# Far longer than a segment, which is the speech of at most 30 seconds.
MAX_CHARS = 10_000

Index = Annotated[int, Path(description="The `index` of the segment.", examples=[0], ge=0, le=10_000_000)]

_ERRORS = {
    **errors(400, 507),
    404: {"model": ErrorResponse, "description": "There is no such job, or no such segment."},
    409: {"model": ErrorResponse, "description": "The job has no transcript."},
}


class CorrectionBody(BaseModel):
    text: str = Field(
        max_length=MAX_CHARS,
        description="The right text. Empty: the segment says nothing, and files of text and subtitles leave it out.",
        examples=["The director will arrive at the park next week."],
    )


@router.put(
    "/jobs/{job_id}/segments/{index}/correction",
    summary="Correct a segment",
    response_model=CorrectedSegment,
    responses=_ERRORS,
)
@router.requires(Scope.SUBMIT)
def correct(job_id: JobId, index: Index, body: CorrectionBody, store: StoreDep, caller: CallerDep) -> JSONResponse:
    """The segment gets this `text`, here, in every file of the transcript, and in searches. `original` keeps what the
    model wrote. Words that stay keep their times; new ones share the time of those that they replace."""
    return JSONResponse(store.edit_segment(job_id, index, partial(corrected, text=body.text), owner=caller.sees))


@router.delete(
    "/jobs/{job_id}/segments/{index}/correction",
    summary="Restore a segment",
    response_model=CorrectedSegment,
    responses=_ERRORS,
)
@router.requires(Scope.SUBMIT)
def restore(job_id: JobId, index: Index, store: StoreDep, caller: CallerDep) -> JSONResponse:
    """The segment gets the model's text again. A segment without a correction stays as it is."""
    return JSONResponse(store.edit_segment(job_id, index, restored, owner=caller.sees))
