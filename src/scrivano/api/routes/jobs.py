"""`/jobs`: submit a recording, read jobs, cancel, retry and delete them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Annotated, Any

from anyio.to_thread import run_sync
from fastapi import Header, Path, Query, Response

from scrivano.api.chunked_response import ChunkedResponse
from scrivano.api.cursors import cut_page, parse_cursor
from scrivano.api.documentation import JOB_EXAMPLES, RETRY_BODY, SUBMIT_BODY, errors
from scrivano.api.request_body import BodyDep
from scrivano.api.routing import Router
from scrivano.api.schemas import (
    EXAMPLE_JOB_ID,
    ErrorResponse,
    JobListResponse,
    JobResponse,
    JobSummary,
    NotReadyResponse,
    SubmittedResponse,
    WaitingFor,
    job_json_chunks,
)
from scrivano.api.services import BlobsDep, CallerDep, ExecutorDep, RetriesDep, StoreDep, SubmissionsDep, WakeUpsDep
from scrivano.auth.keys import Caller, Scope
from scrivano.domain.folding import search_terms
from scrivano.domain.job import Job, JobStatus
from scrivano.housekeeping.retention import forget
from scrivano.running.executor import Executor, model_for
from scrivano.running.model_state import A_PLACE, ModelState, retry_in_secs
from scrivano.store.jobs import JobStore
from scrivano.store.wake_ups import WakeUps
from scrivano.submission.small_form import read_fields

router = Router(tag="jobs")

JobId = Annotated[str, Path(description="The id that `POST /jobs` returned.", examples=[EXAMPLE_JOB_ID])]
MAX_WAIT_S = 60
MAX_PAGE = 200


@router.post(
    "/jobs",
    status_code=202,
    summary="Submit a recording",
    response_model=SubmittedResponse,
    responses={
        **errors(413, 422),
        400: {"model": ErrorResponse, "description": "The request is invalid; this does not load the model."},
        429: {"model": ErrorResponse, "description": "MAX_QUEUE jobs are waiting."},
        500: {"model": ErrorResponse, "description": "The worker has ended; restart the server."},
        503: {"model": NotReadyResponse, "description": "The model is not ready; this request has started to load it."},
        507: {"model": ErrorResponse, "description": "The disk is full, or this upload would leave too little space."},
    },
    openapi_extra={"requestBody": SUBMIT_BODY},
)
@router.requires(Scope.SUBMIT, takes_recording=True)
async def submit(
    body: BodyDep,
    submissions: SubmissionsDep,
    caller: CallerDep,
    idempotency_key: Annotated[
        str | None,
        Header(max_length=255, description="Makes it safe to repeat a submission: the same key gets the same job."),
    ] = None,
) -> Response:
    """Send a recording of any length in any format that FFmpeg reads, or its URL in `audio_url`.

    While the model is not ready the response is 503 and the model is loaded; with `queue=true` (or `ADMISSION=queue` in
    the server's environment) the job is accepted at once and waits for the model.
    """
    job_id = await submissions.submit(body, caller, idempotency_key=idempotency_key)
    return SubmittedResponse(job_id=job_id).response(202)


@router.get(
    "/jobs",
    summary="All jobs, newest first",
    response_model=JobListResponse,
    responses={400: {"model": ErrorResponse}},
)
@router.requires(Scope.READ)
def list_(
    store: StoreDep,
    caller: CallerDep,
    status: Annotated[JobStatus | None, Query(description="Only jobs with this status.")] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE, description="The largest number of jobs to return.")] = 50,
    cursor: Annotated[str | None, Query(description="Continue after the page with this `next_cursor`.")] = None,
    search: Annotated[
        str,
        Query(
            max_length=200,
            description="Only jobs whose transcript, or whose file name, has all of these words, or parts of words."
            " Words in quotation marks must stand together. Case and accents do not matter.",
            examples=["", 'budget "next week"'],
        ),
    ] = "",
) -> Response:
    """Jobs without their `segments`. `next_cursor` is null on the last page. New jobs do not change later pages."""
    terms, before = search_terms(search), parse_cursor(cursor)
    found = store.list_jobs(limit + 1, status=status, before=before, owner=caller.sees, terms=terms)
    page, next_cursor = cut_page(found, limit)
    excerpts = store.excerpts([job.id for job in page], terms) if terms else {}
    progress = store.progress_of([job.id for job in page if job.status is JobStatus.RUNNING])
    return JobListResponse(
        jobs=[_summary(job, excerpts.get(job.id), progress.get(job.id)) for job in page], next_cursor=next_cursor
    ).response()


def _summary(job: Job, excerpt: str | None, progress: Mapping[str, Any] | None) -> JobSummary:
    counts = {name: progress[name] for name in ("chunk", "chunks_total")} if progress else {}
    return JobSummary.of(job).model_copy(update={"excerpt": excerpt, **counts})


@router.get(
    "/jobs/{job_id}",
    summary="A job, with its transcript once it is done",
    response_model=JobResponse,
    responses={
        200: {"content": {"application/json": {"examples": JOB_EXAMPLES}}},
        400: {"model": ErrorResponse},
        404: {"model": ErrorResponse},
    },
)
@router.requires(Scope.READ)
async def get(
    job_id: JobId,
    store: StoreDep,
    wake_ups: WakeUpsDep,
    executor: ExecutorDep,
    caller: CallerDep,
    wait: Annotated[
        float, Query(ge=0, le=MAX_WAIT_S, description="Seconds to wait for the job to end before responding.")
    ] = 0,
) -> Response:
    """Poll this, or follow `/jobs/{id}/stream`. `segments` is empty until the job is done."""
    if wait:
        with suppress(TimeoutError):
            async with asyncio.timeout(wait):
                await _wait_for_end(store, wake_ups, caller, job_id)

    def read() -> tuple[bytes, ...]:
        job = store.get_job(job_id, owner=caller.sees)
        return stored_job_json(store, job, waiting_for(job, executor))

    return ChunkedResponse(await run_sync(read))


def waiting_for(job: Job, executor: Executor) -> WaitingFor | None:
    """None if the job has ended or its model is ready, and if another server may have it ready."""
    if executor.shares_jobs:
        return None
    name = model_for(executor, job.model)
    life = executor.models[name].life
    if job.status.terminal or life.state is ModelState.READY:
        return None
    return WaitingFor(
        model=name,
        state=life.state,
        last_error=life.last_error,
        retry_in_secs=retry_in_secs(life, now=time.monotonic()),
        missing=A_PLACE if life.queued else None,
    )


async def _wait_for_end(store: JobStore, wake_ups: WakeUps, caller: Caller, job_id: str) -> None:
    """Return when the job has ended or the server stops. Raises `JobNotFound`."""
    with wake_ups.watch(job_id) as changed:
        while not wake_ups.stopping:
            # Cleared before the store is read: a change from here on sets it again.
            changed.clear()
            job = await run_sync(lambda: store.get_job(job_id, owner=caller.sees))
            if job.status.terminal:
                return
            await changed.wait()


@router.delete(
    "/jobs/{job_id}",
    summary="Cancel a job, or delete one that has ended",
    response_model=JobResponse,
    responses={
        **errors(404, 507),
        409: {
            "model": ErrorResponse,
            "description": "The job has ended; with `purge=true`: it or one of its versions has not ended yet.",
        },
    },
)
@router.requires(Scope.SUBMIT)
def cancel(
    job_id: JobId,
    store: StoreDep,
    blobs: BlobsDep,
    executor: ExecutorDep,
    caller: CallerDep,
    purge: Annotated[
        bool, Query(description="Delete an ended job with its transcript, events, deliveries and recording.")
    ] = False,
) -> Response:
    """Cancelling takes effect at once: no further chunk is decoded, and results of the current batch are discarded.

    With `purge=true` the response is the job before it was deleted.
    """
    if purge:
        chunks = stored_job_json(store, store.get_job(job_id, owner=caller.sees))
        forget(store, blobs, job_id)
        return ChunkedResponse(chunks)
    job = store.cancel(job_id, owner=caller.sees)
    executor.cancel(job_id)
    return ChunkedResponse(job_json_chunks(job))


@router.post(
    "/jobs/{job_id}/retry",
    status_code=202,
    summary="Try a failed or cancelled job again, or make a new version of one that is done",
    response_model=JobResponse,
    responses={
        **errors(400, 404, 429, 507),
        409: {
            "model": ErrorResponse,
            "description": "The job has not ended, it is done and nothing differs, or its recording is not stored.",
        },
    },
    openapi_extra={"requestBody": RETRY_BODY},
)
@router.requires(Scope.SUBMIT)
async def retry(job_id: JobId, body: BodyDep, retries: RetriesDep, caller: CallerDep) -> Response:
    """A failed or cancelled job waits for another attempt, with its recording and its parameters.

    A job that is done stays as it is and gets a new **version**, with another model or other options: fields that are
    not named keep their values, and blank ones return to the server's settings. The response is the version, with an
    `id` of its own. Once it is done, the job shows its transcript; the older ones stay at `/jobs/{id}/versions`.

    The recordings of failed jobs are stored; those of done and cancelled jobs are with `KEEP_AUDIO=true`.
    """
    fields = await read_fields(body)
    job = await run_sync(retries.retry, job_id, fields, caller)
    return ChunkedResponse(job_json_chunks(job), 202)


def stored_job_json(store: JobStore, job: Job, waiting_for: WaitingFor | None = None) -> tuple[bytes, ...]:
    """The chunks of the job's JSON, with its segments if it is done."""
    segments = store.get_result(job.id) if job.status is JobStatus.DONE else None
    turns = store.turns(job.id) if job.speakers else ()
    return job_json_chunks(job, segments or b"[]", waiting_for, turns)
