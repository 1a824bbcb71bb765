"""Whether the server is there, lives, and is ready: for people, and for what watches over it; and its figures."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from fastapi import Request, Response
from fastapi.responses import JSONResponse

from scrivano.api.routing import Router
from scrivano.api.schemas import METRICS_EXAMPLE, ChecksView, HealthView, UnfitView
from scrivano.api.services import Services, ServicesDep
from scrivano.auth.keys import Scope
from scrivano.domain.errors import StorageFull

router = Router(tag="health")

OK = "ok"
RUNNER_ENDED = "the runner has ended by a fault, which the log shows; the server ends, too: have it restarted"
RUNNER_STUCK = "the runner has not got on for minutes: restart the server; no job is lost by that"
STOPPING = "the server is stopping"


@router.head("/health", include_in_schema=False)
@router.get("/health", summary="Whether the server is there, and what it runs on", response_model=HealthView)
@router.public(probe=True)
def health(services: ServicesDep) -> dict[str, Any]:
    """Never waits for the model."""
    memory = services.memory.read(services.gpu)
    return {
        "status": "ok",
        "gpu_name": memory.name if memory else None,
        "vram_total_mb": memory.total_mb if memory else None,
        "model": services.model,
        "queue_depth": services.store.queue_depth(),
        "model_state": services.runner.model.life.state.value,
    }


@router.get(
    "/livez",
    summary="Whether the server lives",
    response_model=ChecksView,
    responses={503: {"model": UnfitView, "description": "It does not, and only a restart helps."}},
)
@router.public(probe=True)
async def livez(services: ServicesDep) -> Response:
    """For a supervisor that restarts what does not live: the event loop answers, and the runner gets on.

    Answered on the loop itself, without a look at the disk.
    """
    return _answer({"loop": OK, "runner": _runner(services)})


@router.get(
    "/readyz",
    summary="Whether the server can take work",
    response_model=ChecksView,
    responses={503: {"model": UnfitView, "description": "Not now; `checks` says why."}},
)
@router.public(probe=True)
def readyz(services: ServicesDep) -> Response:
    """For a load balancer: the runner lives, the store and the folder of uploads can be written to, the disk has room
    for uploads, nobody has asked the server to stop. Whether a model is loaded does not matter: a submission loads it.
    """
    checks = {
        "runner": _runner(services),
        "store": services.database.fault() or OK,
        "uploads": _uploads(services),
        "disk": _disk(services),
        "stopping": STOPPING if services.wake_ups.stopping else OK,
    }
    return _answer(checks)


@router.get(
    "/metrics",
    summary="Figures for Prometheus",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}, "example": METRICS_EXAMPLE}}}},
)
@router.requires(Scope.READ, probe=True)
def metrics(request: Request, services: ServicesDep) -> Response:
    """In Prometheus' text format, or OpenMetrics where `Accept` asks for it; docs/monitoring.md explains them."""
    body, content_type = services.metrics.render(request.headers.get("accept", ""))
    return Response(body, headers={"Content-Type": content_type})


def _runner(services: Services) -> str:
    if not services.runner.alive and not services.wake_ups.stopping:
        return RUNNER_ENDED
    return RUNNER_STUCK if services.runner.stuck else OK


def _uploads(services: Services) -> str:
    folder = services.blobs.path("a").parent
    if os.access(folder, os.W_OK | os.X_OK):
        return OK
    return "the folder of uploads is gone or cannot be written to: bring DATA_DIR back, then restart the server"


def _disk(services: Services) -> str:
    try:
        services.blobs.disk_space.admit()
    except StorageFull as error:
        return str(error)
    except OSError as error:
        return f"DATA_DIR cannot be asked how much room it has ({error.strerror})"
    return OK


def _answer(checks: Mapping[str, str]) -> Response:
    faults = [said for said in checks.values() if said != OK]
    if not faults:
        return JSONResponse({"status": OK, "checks": checks})
    return JSONResponse({"error": "; ".join(faults), "checks": checks}, 503)
