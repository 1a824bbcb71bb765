"""`/jobs/{id}/stream`: a job's events as Server-Sent Events."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from anyio.to_thread import run_sync
from fastapi import Header
from sse_starlette import EventSourceResponse, ServerSentEvent

from scrivano.api.documentation import STREAM_EXAMPLE, errors
from scrivano.api.routes.jobs import JobId, stored_job_json, waiting_for
from scrivano.api.routing import Router
from scrivano.api.services import CallerDep, ExecutorDep, StoreDep, WakeUpsDep
from scrivano.api.sse import frame, parse_event_id, respond
from scrivano.auth.keys import Scope
from scrivano.domain.job import Job
from scrivano.domain.job_event import JobEvent
from scrivano.running.executor import Executor
from scrivano.running.model_state import ModelState
from scrivano.store.jobs import JobStore
from scrivano.store.wake_ups import MODEL, WakeUps

router = Router(tag="jobs")

LAST_EVENTS = ("done", "error")

# Events are sent in batches of at most this many: a step of the event loop for each would cost more than the rest.
BATCH_SIZE = 100


@router.get(
    "/jobs/{job_id}/stream",
    summary="Follow a job (Server-Sent Events)",
    response_class=EventSourceResponse,
    responses={
        200: {"content": {"text/event-stream": {"schema": {"type": "string"}, "example": STREAM_EXAMPLE}}},
        **errors(404),
    },
)
@router.requires(Scope.READ, event_stream=True, stream_token=True)
async def stream(
    job_id: JobId,
    store: StoreDep,
    wake_ups: WakeUpsDep,
    executor: ExecutorDep,
    caller: CallerDep,
    last_event_id: Annotated[str | None, Header(description="Continue after this event.")] = None,
) -> EventSourceResponse:
    """`segment` events as text becomes known, `progress`, and one `done` (with the job) or `error`.

    A stream starts with the newest `progress`; the stream of a finished job is one `done`. The `id` of an event is its
    number among the job's events: a client that reconnects with `Last-Event-ID` misses nothing, and 0 sends all events.
    `waiting_for` events say why the job waits for its model, and when it does so no longer (`state` is `ready`); they
    have no `id`. The segments of `done` are the transcript: text that two chunks share is in it once.
    """
    job = await run_sync(lambda: store.get_job(job_id, owner=caller.sees))
    return respond(_Stream(store, wake_ups, executor, job).frames(parse_event_id(last_event_id)))


@dataclass(frozen=True, slots=True)
class _Stream:
    store: JobStore
    wake_ups: WakeUps
    executor: Executor
    job: Job

    async def frames(self, after: int | None) -> AsyncIterator[bytes]:
        """Events that are stored together are sent together. `after`: the last event that the client has."""
        events, seq = await run_sync(self._first_events, after)
        reason: Mapping[str, Any] | None = None
        with self.wake_ups.watch(self.job.id, MODEL) as changed:
            while True:
                for batch in (events[at : at + BATCH_SIZE] for at in range(0, len(events), BATCH_SIZE)):
                    yield await run_sync(self._encode, batch)
                    seq = max(seq, batch[-1].seq)
                    if batch[-1].type in LAST_EVENTS:
                        return
                # Cleared before the store is read: an event that is stored from here on sets it again.
                changed.clear()
                events = await run_sync(self.store.events_after, self.job.id, seq)
                if events:
                    continue
                if self.wake_ups.stopping:
                    return
                if await run_sync(self._ended_before, seq):
                    yield await run_sync(self._encode, [JobEvent(self.job.id, seq, "done", {})])
                    return
                if (waits := self._reason_to_wait(reason)) != reason:
                    reason = waits
                    yield ServerSentEvent(
                        data=json.dumps({"type": "waiting_for", **(waits or {})}), event="waiting_for"
                    ).encode()
                await changed.wait()

    def _reason_to_wait(self, before: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
        """What the job waits for, without times that pass; None: it does not wait, and did not."""
        waits = waiting_for(self.job, self.executor)
        if waits is not None:
            return waits.model_dump(mode="json", exclude_none=True, exclude={"retry_in_secs"})
        return None if before is None else {"model": before["model"], "state": ModelState.READY.value}

    def _first_events(self, after: int | None) -> tuple[Sequence[JobEvent], int]:
        """The events that the stream starts with, and the number of the last event that they cover."""
        last_seq = self.store.last_seq(self.job.id)
        if after is not None and after <= last_seq:
            return self.store.events_after(self.job.id, after), after
        if self.job.status.terminal:
            return (), last_seq
        events = self.store.events_after(self.job.id, 0)
        newest = [event for event in events if event.type == "progress"][-1:]
        end = [event for event in events[-1:] if event.type in LAST_EVENTS]
        return newest + end, events[-1].seq if events else 0

    def _ended_before(self, seq: int) -> bool:
        """Whether the job has ended and has no event after `seq`."""
        return self.store.get_job(self.job.id).status.terminal and self.store.last_seq(self.job.id) <= seq

    def _encode(self, events: Sequence[JobEvent]) -> bytes:
        return b"".join(self._frame(event).encode() for event in events)

    def _frame(self, event: JobEvent) -> ServerSentEvent:
        if event.type == "done":
            job = stored_job_json(self.store, self.store.get_job(event.job_id))
            body = b"".join((b'{"type": "done", "job": ', *job, b"}"))
            return ServerSentEvent(data=body.decode(), event="done", id=str(event.seq))
        data: dict[str, Any] = {"type": event.type, **event.data}
        return frame(event.type, data, event.seq)
