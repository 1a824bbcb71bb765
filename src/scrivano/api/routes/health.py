"""`/health`, `/livez`, `/readyz` and `/metrics`: for people, supervisors, load balancers and Prometheus."""

from __future__ import annotations

from fastapi import Request, Response

from scrivano.api.checks import OK, check_runner, checks_response
from scrivano.api.documentation import METRICS_EXAMPLE
from scrivano.api.routing import Router
from scrivano.api.schemas import ChecksResponse, FailedChecksResponse, HealthResponse
from scrivano.api.services import (
    BlobsDep,
    DatabaseDep,
    ExecutorDep,
    MetricsDep,
    ModelsDep,
    ReadGpuDep,
    StoreDep,
    WakeUpsDep,
)
from scrivano.auth.keys import Scope
from scrivano.domain.errors import StorageFull, StorageUnreachable
from scrivano.files.blobs import Blobs

router = Router(tag="health")

STOPPING = "the server is stopping"


@router.head("/health", include_in_schema=False)
@router.get("/health", summary="What the server runs on", response_model=HealthResponse)
@router.public(probe=True)
def health(executor: ExecutorDep, store: StoreDep, models: ModelsDep, read_gpu: ReadGpuDep) -> Response:
    """Never waits for the model."""
    memory = read_gpu()
    return HealthResponse(
        status="ok",
        gpu_name=memory.name if memory else None,
        vram_total_mb=memory.total_mb if memory else None,
        model=models[0],
        queue_depth=store.queue_depth(),
        model_state=executor.model.life.state,
    ).response()


@router.get(
    "/livez",
    summary="Whether the server is alive",
    response_model=ChecksResponse,
    responses={503: {"model": FailedChecksResponse, "description": "It is not, and only a restart helps."}},
)
@router.public(probe=True)
async def livez(executor: ExecutorDep, wake_ups: WakeUpsDep) -> Response:
    """For a supervisor that restarts the server: the event loop responds, and the runner makes progress.

    Does not read the disk, so that a slow one does not cause a restart.
    """
    return checks_response({"loop": OK, "runner": check_runner(executor, stopping=wake_ups.stopping)})


@router.get(
    "/readyz",
    summary="Whether the server can take work",
    response_model=ChecksResponse,
    responses={503: {"model": FailedChecksResponse, "description": "Not now; `checks` says why."}},
)
@router.public(probe=True)
def readyz(executor: ExecutorDep, wake_ups: WakeUpsDep, database: DatabaseDep, blobs: BlobsDep) -> Response:
    """For a load balancer: the runner is alive, the database and the folder of uploads can be written to, the disk has
    space for uploads, the server is not stopping. The state of the model does not matter: a submission loads it.
    """
    return checks_response(
        {
            "runner": check_runner(executor, stopping=wake_ups.stopping),
            "store": database.fault() or OK,
            "uploads": blobs.fault() or OK,
            "disk": _check_disk(blobs),
            "stopping": STOPPING if wake_ups.stopping else OK,
        }
    )


@router.get(
    "/metrics",
    summary="Metrics for Prometheus",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}, "example": METRICS_EXAMPLE}}}},
)
@router.requires(Scope.READ, probe=True)
def metrics(request: Request, metrics: MetricsDep) -> Response:
    """In Prometheus' text format, or in OpenMetrics if `Accept` asks for it; the `HELP` lines explain them."""
    body, content_type = metrics.render(request.headers.get("accept", ""))
    return Response(body, headers={"Content-Type": content_type})


def _check_disk(blobs: Blobs) -> str:
    try:
        blobs.admit()
    except StorageFull as error:
        return str(error)
    except StorageUnreachable:  # said by `uploads`
        return OK
    except OSError as error:
        return f"the free space of DATA_DIR cannot be read ({error.strerror})"
    return OK
