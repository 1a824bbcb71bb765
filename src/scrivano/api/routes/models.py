"""`/model`: where the model stands, loading and unloading it, and its events."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import Header, Query
from fastapi.responses import JSONResponse
from sse_starlette import EventSourceResponse, ServerSentEvent

from scrivano.api.routing import Router
from scrivano.api.schemas import MODEL_EXAMPLES, MODEL_STREAM_EXAMPLE, ModelView, StatusView, refusals
from scrivano.api.services import Services, ServicesDep
from scrivano.api.sse import frame, parse_event_id, respond
from scrivano.auth.keys import Scope
from scrivano.domain.job import utc
from scrivano.running.model_state import ModelState, waiting
from scrivano.store.wake_ups import MODEL
from scrivano.submission.model_names import served_model

router = Router(tag="model", prefix="/model")

OneModel = Annotated[str | None, Query(description="One of the served models.", examples=["large-v3"])]


@router.get(
    "/status",
    summary="Where the model stands",
    response_model=ModelView,
    response_model_exclude_none=True,
    responses={200: {"content": {"application/json": {"examples": MODEL_EXAMPLES}}}},
)
@router.requires(Scope.READ, Scope.SUBMIT)
def status(services: ServicesDep) -> dict[str, Any]:
    """`last_error` says why the last load failed. GPU figures are there only where a GPU can be read.

    With `MODELS` set, `models` has all of them, the usual one first.
    """
    body = _status(services, services.model)
    if len(services.models) > 1:
        body["models"] = [_status(services, name) for name in services.models]
    memory = services.memory.read(services.gpu)
    if memory is not None:
        body |= {"vram_used_mb": memory.used_mb, "vram_total_mb": memory.total_mb}
    return body


def _status(services: Services, name: str) -> dict[str, Any]:
    model = services.runner.models[name]
    life = model.life
    body: dict[str, Any] = {"state": life.state.value, "model": name}
    if life.state is ModelState.WAITING_FOR_GPU:
        body |= waiting(life, now=time.monotonic())
    if life.state is ModelState.READY and life.loaded_at is not None:
        body["loaded_at"] = utc(life.loaded_at)
    if life.last_error is not None:
        body["last_error"] = life.last_error
    if model.download is not None:
        body["download"] = dict(model.download)
    if len(model.devices) > 1:
        body["devices"] = [{"gpu": gpu, "state": state.value} for gpu, state in model.devices.items()]
    return body


@router.post(
    "/load",
    summary="Load the model",
    status_code=202,
    response_model=StatusView,
    responses={
        200: {"model": StatusView, "description": "It is loaded already."},
        202: {"description": "It loads."},
        **refusals(404),
    },
)
@router.requires(Scope.ADMIN)
def load(services: ServicesDep, model: OneModel = None) -> JSONResponse:
    """Idempotent; follow `/model/events` or `/model/status`. Without `model`: the usual one."""
    name = served_model(model, services.models)
    ready = services.runner.models[name or services.model].life.state is ModelState.READY
    services.runner.load(name)
    if ready:
        return JSONResponse({"status": "already_ready"})
    return JSONResponse({"status": "load_initiated"}, status_code=202)


@router.post("/unload", summary="Give the model's memory back", response_model=StatusView, responses=refusals(404))
@router.requires(Scope.ADMIN)
def unload(services: ServicesDep, model: OneModel = None) -> dict[str, str]:
    """Without `model`: all of them. Work in flight ends first.

    Jobs that are not done go on when their model is loaded again: by a load, by the next submission, or by themselves
    after GPU_POLL_INTERVAL_SECS, so that other programs have their chance.
    """
    services.runner.unload(None if model is None else served_model(model, services.models) or services.model)
    return {"status": "unload_requested"}


@router.get(
    "/events",
    summary="Follow the model (Server-Sent Events)",
    response_class=EventSourceResponse,
    responses={
        200: {"content": {"text/event-stream": {"schema": {"type": "string"}, "example": MODEL_STREAM_EXAMPLE}}}
    },
)
@router.requires(Scope.READ, Scope.SUBMIT, event_stream=True)
async def events(
    services: ServicesDep,
    last_event_id: Annotated[str | None, Header(description="Go on after this event.")] = None,
) -> EventSourceResponse:
    """`model_loading`, `model_ready`, `model_unloaded`, `model_waiting_for_gpu`, as they happen."""
    # Now, not when the stream is first read: who has the answer's head hears of all that comes after.
    last = services.model_log.last_seq
    after = parse_event_id(last_event_id)
    return respond(_frames(services, after if after is not None and after <= last else last))


async def _frames(services: Services, seq: int) -> AsyncIterator[ServerSentEvent]:
    with services.wake_ups.watch(MODEL) as news:
        while not services.wake_ups.stopping:
            news.clear()
            for event in services.model_log.after(seq):
                yield frame(event.type, event.data, event.seq)
                seq = event.seq
            await news.wait()
