"""`/jobs/{id}/stream`: a job's log as Server-Sent Events."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Annotated, Any

from anyio.to_thread import run_sync
from fastapi import Header
from sse_starlette import EventSourceResponse, ServerSentEvent

from scrivano.api.routes.jobs import JobId, job_parts, visible_job
from scrivano.api.routing import Router
from scrivano.api.schemas import STREAM_EXAMPLE, ErrorView
from scrivano.api.services import Services, ServicesDep
from scrivano.api.sse import frame, parse_event_id, respond
from scrivano.auth.keys import Scope
from scrivano.domain.job import Job
from scrivano.domain.job_event import JobEvent

router = Router(tag="jobs")

ENDS = ("done", "error")

# Events that are sent together at most: one step of the event loop for each costs more than all else about it.
AT_ONCE = 100


@router.get(
    "/jobs/{job_id}/stream",
    summary="Follow a job (Server-Sent Events)",
    response_class=EventSourceResponse,
    responses={
        200: {"content": {"text/event-stream": {"schema": {"type": "string"}, "example": STREAM_EXAMPLE}}},
        404: {"model": ErrorView},
    },
)
@router.requires(Scope.READ, event_stream=True)
async def stream(
    job_id: JobId,
    services: ServicesDep,
    last_event_id: Annotated[str | None, Header(description="Go on after this event.")] = None,
) -> EventSourceResponse:
    """`segment` events as text becomes known, `progress`, and one `done` (with the job) or `error`.

    A stream begins with the newest progress; on a finished job it is one `done`. Every event's `id` is its number in
    the job's log: a client that comes back with `Last-Event-ID` misses nothing, and 0 tells all from the start. The
    segments of `done` are the transcript: what was said twice where two chunks meet is in it once.
    """
    job = await run_sync(visible_job, services, job_id)
    return respond(_frames(services, job, parse_event_id(last_event_id)))


async def _frames(services: Services, job: Job, after: int | None) -> AsyncIterator[bytes]:
    """Events that have come together go out together."""
    events, seq = await run_sync(_opening, services, job, after)
    with services.wake_ups.watch(job.id) as news:
        while True:
            for some in (events[at : at + AT_ONCE] for at in range(0, len(events), AT_ONCE)):
                yield await run_sync(_encoded, services, some)
                seq = max(seq, some[-1].seq)
                if some[-1].type in ENDS:
                    return
            news.clear()
            events = await run_sync(services.store.events_after, job.id, seq)
            if events:
                continue
            if services.wake_ups.stopping:
                return
            if await run_sync(_ended_before, services, job.id, seq):
                yield await run_sync(_encoded, services, [JobEvent(job.id, seq, "done", {})])
                return
            await news.wait()


def _opening(services: Services, job: Job, after: int | None) -> tuple[Sequence[JobEvent], int]:
    """What a stream begins with, and the last event that it stands for."""
    last = services.store.last_seq(job.id)
    if after is not None and after <= last:
        return services.store.events_after(job.id, after), after
    if job.status.terminal:
        return (), last
    events = services.store.events_after(job.id, 0)
    newest = [event for event in events if event.type == "progress"][-1:]
    end = [event for event in events[-1:] if event.type in ENDS]
    return newest + end, events[-1].seq if events else 0


def _ended_before(services: Services, job_id: str, seq: int) -> bool:
    """Whether the job has ended and the log holds nothing after `seq`."""
    return services.store.get_job(job_id).status.terminal and services.store.last_seq(job_id) <= seq


def _encoded(services: Services, events: Sequence[JobEvent]) -> bytes:
    return b"".join(_frame(services, event).encode() for event in events)


def _frame(services: Services, event: JobEvent) -> ServerSentEvent:
    if event.type == "done":
        body = b"".join((b'{"type": "done", "job": ', *job_parts(services, event.job_id), b"}"))
        return ServerSentEvent(data=body.decode(), event="done", id=str(event.seq))
    data: dict[str, Any] = {"type": event.type, **event.data}
    return frame(event.type, data, event.seq)
