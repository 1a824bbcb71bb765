"""`/jobs/{id}/waveform`: the outline of a recording, so that a page can draw hours of sound without decoding them."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Response

from scrivano.api.routes.jobs import JobId
from scrivano.api.routing import Router
from scrivano.api.schemas import ErrorResponse, WaveformResponse
from scrivano.api.services import CallerDep, StoreDep
from scrivano.auth.keys import Scope
from scrivano.domain.errors import WaveformNotReady
from scrivano.domain.recording import MOST_PEAKS

router = Router(tag="jobs")


@router.get(
    "/jobs/{job_id}/waveform",
    summary="The outline of a job's recording",
    response_model=WaveformResponse,
    responses={
        400: {"model": ErrorResponse},
        404: {"model": ErrorResponse, "description": "No such job, or its recording has not been read."},
    },
)
@router.requires(Scope.READ)
def waveform(
    job_id: JobId,
    store: StoreDep,
    caller: CallerDep,
    points: Annotated[int, Query(ge=1, le=MOST_PEAKS, description="At most so many peaks.")] = MOST_PEAKS,
) -> Response:
    """The loudest sample of each stretch of the recording, for drawing. It stays when the recording is deleted."""
    job = store.get_job(job_id, owner=caller.sees)
    found = store.waveform(job_id) or store.waveform(job.recording_id)
    if found is None:
        raise WaveformNotReady(job_id)
    each = -(-len(found.peaks) // points)
    peaks = [max(found.peaks[at : at + each]) for at in range(0, len(found.peaks), each)] if each else []
    return WaveformResponse(peak_secs=found.peak_secs * max(1, each), peaks=peaks).response()
