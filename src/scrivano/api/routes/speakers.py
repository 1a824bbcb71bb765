"""`/jobs/{id}/speakers`: name and merge the speakers of a job."""

from __future__ import annotations

from typing import Annotated, Self

from fastapi import Body, Response
from pydantic import BaseModel, ConfigDict, Field, model_validator

from scrivano.api.chunked_response import ChunkedResponse
from scrivano.api.documentation import errors
from scrivano.api.routes.jobs import JobId, stored_job_json
from scrivano.api.routing import Router
from scrivano.api.schemas import ErrorResponse, JobResponse
from scrivano.api.services import CallerDep, StoreDep
from scrivano.auth.keys import Scope

router = Router(tag="jobs")

# Characters of a name.
MAX_NAME = 100


class SpeakerChanges(BaseModel):
    """Ids are those in the `speakers` of the job."""

    model_config = ConfigDict(extra="forbid")

    names: dict[str, Annotated[str, Field(max_length=MAX_NAME)] | None] = Field(
        default={}, description="New names by id; null or blank: the first name again.", examples=[{"S1": "Ada"}]
    )
    merge: dict[str, str] = Field(
        default={}, description="Speakers that are the same person: an id, and the id that stays.", examples=[{}]
    )

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        if not self.names and not self.merge:
            raise ValueError('send {"names": {"S1": "Ada"}}, {"merge": {"S3": "S1"}}, or both')
        return self


@router.patch(
    "/jobs/{job_id}/speakers",
    summary="Name or merge the speakers of a job",
    response_model=JobResponse,
    responses={
        **errors(404, 507),
        400: {"model": ErrorResponse, "description": "The job has no speaker with this id."},
        409: {"model": ErrorResponse, "description": "The job has no speakers."},
    },
)
@router.requires(Scope.SUBMIT)
def change_speakers(
    job_id: JobId, changes: Annotated[SpeakerChanges, Body()], store: StoreDep, caller: CallerDep
) -> Response:
    """Merges come first. The names are in every later transcript of the job, also when its recording is transcribed
    again. The id of a speaker who was merged is not used again."""
    job = store.change_speakers(job_id, names=changes.names, merge=changes.merge, owner=caller.sees)
    return ChunkedResponse(stored_job_json(store, job))
