"""`/jobs`: submit a recording, look at jobs, cancel, retry and delete them."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import Annotated

from anyio.to_thread import run_sync
from fastapi import Header, Path, Query, Response
from fastapi.responses import JSONResponse

from scrivano.api.cursors import Place, parse_cursor
from scrivano.api.cursors import cursor as cursor_of
from scrivano.api.request_body import BodyDep
from scrivano.api.response_chunks import PartsResponse
from scrivano.api.routing import Router
from scrivano.api.schemas import (
    JOB_EXAMPLES,
    SUBMIT_BODY,
    ErrorView,
    JobListView,
    JobView,
    NotReadyView,
    SubmittedView,
    refusals,
)
from scrivano.api.services import Services, ServicesDep
from scrivano.auth.keys import Scope
from scrivano.domain.errors import JobNotRetriable
from scrivano.domain.job import NEXT_STATUSES, Job, JobStatus, job_json, job_json_parts
from scrivano.housekeeping.retention import forget

router = Router(tag="jobs")

JobId = Annotated[
    str, Path(description="The id that the submission answered.", examples=["6f9619ff-8b86-4d01-b42d-00cf4fc964ff"])
]
MAX_WAIT_S = 60
MAX_LISTED = 200


@router.post(
    "/jobs",
    status_code=202,
    summary="Submit a recording",
    response_model=SubmittedView,
    responses={
        400: {"model": ErrorView, "description": "The request cannot be used; the model's state does not matter."},
        413: {"model": ErrorView, "description": "The file is larger than MAX_UPLOAD_BYTES."},
        422: {
            "model": ErrorView,
            "description": "The Idempotency-Key was used for another recording or other parameters.",
        },
        429: {"model": ErrorView, "description": "MAX_QUEUE jobs wait already."},
        500: {"model": ErrorView, "description": "The worker is gone for good; restart the server."},
        503: {"model": NotReadyView, "description": "The model is not ready; this request has started its load."},
        507: {"model": ErrorView, "description": "The disk is full, or this upload would leave too little of it."},
    },
    openapi_extra={"requestBody": SUBMIT_BODY},
)
@router.requires(Scope.SUBMIT, takes_recording=True)
async def submit(
    body: BodyDep,
    services: ServicesDep,
    idempotency_key: Annotated[
        str | None,
        Header(max_length=255, description="Send a submission again safely: the same key gets the same job."),
    ] = None,
) -> Response:
    """Send a recording of any length in any format that FFmpeg reads, or say in `audio_url` where it is.

    While the model is not ready the answer is 503 and the load begins; with `queue=true` (or `ADMISSION=queue` in the
    server's environment) the job is accepted at once and waits for the model.
    """
    job_id = await services.submissions.submit(body, services.caller, idempotency_key=idempotency_key)
    return JSONResponse({"job_id": job_id}, status_code=202)


@router.get(
    "/jobs",
    summary="All jobs, newest first",
    response_model=JobListView,
    responses={400: {"model": ErrorView}},
)
@router.requires(Scope.READ)
def list_jobs(
    services: ServicesDep,
    status: Annotated[JobStatus | None, Query(description="Only jobs of this status.")] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_LISTED, description="At most so many.")] = 50,
    cursor: Annotated[str | None, Query(description="Go on where the page with this `next_cursor` ended.")] = None,
) -> Response:
    """Jobs without their `segments`. `next_cursor` is null on the last page; jobs that come meanwhile shift nothing."""
    found = services.store.list_jobs(limit + 1, status=status, before=parse_cursor(cursor), owner=services.caller.sees)
    shown = [job_json(job, None) for job in found[:limit]]
    following = json.dumps(cursor_of(_place(found[limit - 1])) if len(found) > limit else None).encode()
    body = b'{"jobs": [' + b", ".join(shown) + b'], "next_cursor": ' + following + b"}"
    return Response(body, media_type="application/json")


@router.get(
    "/jobs/{job_id}",
    summary="A job, with its transcript once it is done",
    response_model=JobView,
    responses={
        200: {"content": {"application/json": {"examples": JOB_EXAMPLES}}},
        400: {"model": ErrorView},
        404: {"model": ErrorView},
    },
)
@router.requires(Scope.READ)
async def get(
    job_id: JobId,
    services: ServicesDep,
    wait: Annotated[
        float, Query(ge=0, le=MAX_WAIT_S, description="Seconds to wait for the job's end before answering.")
    ] = 0,
) -> Response:
    """Poll this, or follow `/jobs/{id}/stream`. `segments` is empty until the job is done."""
    parts: tuple[bytes, ...] | None = None
    if wait:
        with suppress(TimeoutError):
            async with asyncio.timeout(wait):
                parts = await _ended(services, job_id)
    if parts is None:
        parts = await run_sync(job_parts, services, job_id)
    return PartsResponse(parts, media_type="application/json")


@router.delete(
    "/jobs/{job_id}",
    summary="Cancel a job, or delete one that has ended",
    response_model=JobView,
    responses={
        **refusals(404, 507),
        409: {"model": ErrorView, "description": "The job has ended already; to be deleted, it has not yet."},
    },
)
@router.requires(Scope.SUBMIT)
def cancel(
    job_id: JobId,
    services: ServicesDep,
    purge: Annotated[
        bool, Query(description="Delete an ended job wholly: transcript, events, deliveries, recording.")
    ] = False,
) -> Response:
    """Cancelling takes effect at once: no further chunk is decoded, and what is in the engine is thrown away.

    With `purge=true` the answer is the job as it was.
    """
    if purge:
        parts = job_parts(services, job_id)  # raises where the job is not this caller's
        forget(services.store, services.blobs, job_id)
        return PartsResponse(parts, media_type="application/json")
    job = services.store.cancel(job_id, owner=services.caller.sees)
    services.runner.cancel(job_id)
    return Response(job_json(job), media_type="application/json")


@router.post(
    "/jobs/{job_id}/retry",
    status_code=202,
    summary="Try a failed or cancelled job again",
    response_model=JobView,
    responses={
        **refusals(404, 507),
        409: {"model": ErrorView, "description": "The job has not failed, or its recording is not kept."},
    },
)
@router.requires(Scope.SUBMIT)
def retry(job_id: JobId, services: ServicesDep) -> Response:
    """The same job waits for another attempt, with the recording and the parameters that it came with.

    Failed jobs keep their recording; cancelled ones do with `KEEP_AUDIO=true`.
    """
    job = visible_job(services, job_id)
    if JobStatus.QUEUED in NEXT_STATUSES[job.status] and not services.blobs.path(job_id).exists():
        raise JobNotRetriable(f"the recording of job {job_id} is not kept; submit it again")
    job = services.store.retry(job_id, owner=services.caller.sees, limits=services.caller.limits)
    services.runner.submit(job)
    return Response(job_json(job), status_code=202, media_type="application/json")


def visible_job(services: Services, job_id: str) -> Job:
    """Raises `JobNotFound`, also where the job is there and not for this caller."""
    return services.store.get_job(job_id, owner=services.caller.sees)


def job_parts(services: Services, job_id: str) -> tuple[bytes, ...]:
    """The job as JSON, with its segments. Raises `JobNotFound`."""
    return _parts(services, visible_job(services, job_id))


def _parts(services: Services, job: Job) -> tuple[bytes, ...]:
    segments = services.store.get_result(job.id) if job.status is JobStatus.DONE else None
    return job_json_parts(job, segments or b"[]")


async def _ended(services: Services, job_id: str) -> tuple[bytes, ...] | None:
    """The job's parts when it has ended; None when nothing is to be waited for any more. Raises `JobNotFound`."""
    with services.wake_ups.watch(job_id) as news:
        while not services.wake_ups.stopping:
            news.clear()
            if (parts := await run_sync(_parts_if_ended, services, job_id)) is not None:
                return parts
            await news.wait()
    return None


def _parts_if_ended(services: Services, job_id: str) -> tuple[bytes, ...] | None:
    job = visible_job(services, job_id)
    return _parts(services, job) if job.status.terminal else None


def _place(job: Job) -> Place:
    return job.created_at, job.id
