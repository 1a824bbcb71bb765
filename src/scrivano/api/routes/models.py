"""`/model`: the state of the models, loading and unloading them, and their events."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import Header, Query, Response
from sse_starlette import EventSourceResponse, ServerSentEvent

from scrivano.api.documentation import MODEL_EXAMPLES, MODEL_STREAM_EXAMPLE, errors
from scrivano.api.routing import Router
from scrivano.api.schemas import (
    ModelActionResponse,
    ModelDevice,
    ModelDownload,
    ModelEngine,
    ModelStatusResponse,
    ServedModelStatus,
)
from scrivano.api.services import ExecutorDep, ModelLogDep, ModelsDep, ReadGpuDep, WakeUpsDep
from scrivano.api.sse import frame, parse_event_id, respond
from scrivano.auth.keys import Scope
from scrivano.running.executor import Executor
from scrivano.running.model_event_log import ModelEventLog
from scrivano.running.model_state import ModelState, waiting
from scrivano.store.wake_ups import MODEL, WakeUps

router = Router(tag="model", prefix="/model")

ModelName = Annotated[str | None, Query(description="One of the served models.", examples=["large-v3"])]


@router.get(
    "/status",
    summary="The state of the model",
    response_model=ModelStatusResponse,
    responses={200: {"content": {"application/json": {"examples": MODEL_EXAMPLES}}}},
)
@router.requires(Scope.READ, Scope.SUBMIT)
def status(executor: ExecutorDep, models: ModelsDep, read_gpu: ReadGpuDep) -> Response:
    """`last_error` says why the last load failed. GPU figures are present only if a GPU can be read.

    With `MODELS` set, `models` has all of them, the default one first.
    """
    memory = read_gpu()
    return ModelStatusResponse(
        **_status(executor, models[0]),
        vram_used_mb=memory.used_mb if memory else None,
        vram_total_mb=memory.total_mb if memory else None,
        models=[ServedModelStatus(**_status(executor, name)) for name in models] if len(models) > 1 else None,
    ).response()


def _status(executor: Executor, name: str) -> dict[str, Any]:
    """The fields of a `ServedModelStatus`."""
    model = executor.models[name]
    life = model.life
    fields: dict[str, Any] = {
        "state": life.state,
        "model": name,
        "loaded_at": life.loaded_at if life.state is ModelState.READY else None,
        "last_error": life.last_error,
        "download": model.download and ModelDownload(**model.download),
    }
    if life.state is ModelState.WAITING_FOR_GPU:
        fields |= waiting(life, now=time.monotonic())
    if len(model.devices) > 1:
        fields["devices"] = [ModelDevice(gpu=gpu, state=state) for gpu, state in model.devices.items()]
    if model.engines:
        fields["engines"] = [ModelEngine(node=engine.node, state=engine.state) for engine in model.engines]
    return fields


@router.post(
    "/load",
    summary="Load the model",
    status_code=202,
    response_model=ModelActionResponse,
    responses={
        200: {"model": ModelActionResponse, "description": "It is loaded already."},
        202: {"description": "It is being loaded."},
        **errors(404),
    },
)
@router.requires(Scope.ADMIN)
def load(executor: ExecutorDep, models: ModelsDep, model: ModelName = None) -> Response:
    """Idempotent; follow `/model/events` or `/model/status`. Without `model`: the default model."""
    name = models.find(model)
    ready = executor.models[name or models[0]].life.state is ModelState.READY
    # Also if it is ready: this restarts its idle time.
    executor.load(name)
    if ready:
        return ModelActionResponse(status="already_ready").response()
    return ModelActionResponse(status="load_initiated").response(202)


@router.post("/unload", summary="Free the model's memory", response_model=ModelActionResponse, responses=errors(404))
@router.requires(Scope.ADMIN)
def unload(executor: ExecutorDep, models: ModelsDep, model: ModelName = None) -> Response:
    """Without `model`: all of them. Work in progress ends first.

    Jobs that are not done continue when their model is loaded again: by a load, by the next submission, or after
    UNLOAD_HOLD_SECS, so that other programs can use the GPU in between.
    """
    executor.unload(None if model is None else models.find(model) or models[0])
    return ModelActionResponse(status="unload_requested").response()


@router.get(
    "/events",
    summary="Follow the model (Server-Sent Events)",
    response_class=EventSourceResponse,
    responses={
        200: {"content": {"text/event-stream": {"schema": {"type": "string"}, "example": MODEL_STREAM_EXAMPLE}}}
    },
)
@router.requires(Scope.READ, Scope.SUBMIT, event_stream=True, stream_token=True)
async def events(
    model_log: ModelLogDep,
    wake_ups: WakeUpsDep,
    last_event_id: Annotated[str | None, Header(description="Continue after this event.")] = None,
) -> EventSourceResponse:
    """`model_loading`, `model_ready`, `model_unloaded`, `model_waiting_for_gpu`, as they happen."""
    # Read before the response starts: a client that has its headers receives all later events.
    last_seq = model_log.last_seq
    after = parse_event_id(last_event_id)
    start = after if after is not None and after <= last_seq else last_seq
    return respond(_frames(model_log, wake_ups, start))


async def _frames(model_log: ModelEventLog, wake_ups: WakeUps, seq: int) -> AsyncIterator[ServerSentEvent]:
    with wake_ups.watch(MODEL) as changed:
        while not wake_ups.stopping:
            # Cleared before the log is read: an event that is added from here on sets it again.
            changed.clear()
            for event in model_log.after(seq):
                yield frame(event.type, event.data, event.seq)
                seq = event.seq
            await changed.wait()
