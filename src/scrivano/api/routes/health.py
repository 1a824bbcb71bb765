"""`/health`, `/livez`, `/readyz` and `/metrics`: for people, supervisors, load balancers and Prometheus."""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import Request, Response

from scrivano.api.documentation import METRICS_EXAMPLE
from scrivano.api.routing import Router
from scrivano.api.schemas import ChecksResponse, FailedChecksResponse, HealthResponse
from scrivano.api.services import (
    BlobsDep,
    DatabaseDep,
    MetricsDep,
    ModelsDep,
    ReadGpuDep,
    RunnerDep,
    StoreDep,
    WakeUpsDep,
)
from scrivano.auth.keys import Scope
from scrivano.domain.errors import StorageFull, StorageUnreachable
from scrivano.files.blobs import Blobs
from scrivano.running.executor import Executor
from scrivano.store.wake_ups import WakeUps

router = Router(tag="health")

OK = "ok"
RUNNER_ENDED = "the runner has failed, and the server stops; the log has the error: start the server again"
RUNNER_STUCK = "the runner has made no progress for minutes: restart the server; no job is lost by that"
STOPPING = "the server is stopping"


@router.head("/health", include_in_schema=False)
@router.get("/health", summary="What the server runs on", response_model=HealthResponse)
@router.public(probe=True)
def health(runner: RunnerDep, store: StoreDep, models: ModelsDep, read_gpu: ReadGpuDep) -> Response:
    """Never waits for the model."""
    memory = read_gpu()
    return HealthResponse(
        status="ok",
        gpu_name=memory.name if memory else None,
        vram_total_mb=memory.total_mb if memory else None,
        model=models[0],
        queue_depth=store.queue_depth(),
        model_state=runner.model.life.state,
    ).response()


@router.get(
    "/livez",
    summary="Whether the server is alive",
    response_model=ChecksResponse,
    responses={503: {"model": FailedChecksResponse, "description": "It is not, and only a restart helps."}},
)
@router.public(probe=True)
async def livez(runner: RunnerDep, wake_ups: WakeUpsDep) -> Response:
    """For a supervisor that restarts the server: the event loop responds, and the runner makes progress.

    Does not read the disk, so that a slow one does not cause a restart.
    """
    return _checks_response({"loop": OK, "runner": _check_runner(runner, wake_ups)})


@router.get(
    "/readyz",
    summary="Whether the server can take work",
    response_model=ChecksResponse,
    responses={503: {"model": FailedChecksResponse, "description": "Not now; `checks` says why."}},
)
@router.public(probe=True)
def readyz(runner: RunnerDep, wake_ups: WakeUpsDep, database: DatabaseDep, blobs: BlobsDep) -> Response:
    """For a load balancer: the runner is alive, the database and the folder of uploads can be written to, the disk has
    space for uploads, the server is not stopping. The state of the model does not matter: a submission loads it.
    """
    return _checks_response(
        {
            "runner": _check_runner(runner, wake_ups),
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


def _check_runner(runner: Executor, wake_ups: WakeUps) -> str:
    if not runner.alive and not wake_ups.stopping:
        return RUNNER_ENDED
    return RUNNER_STUCK if runner.stuck else OK


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


def _checks_response(checks: Mapping[str, str]) -> Response:
    failures = [result for result in checks.values() if result != OK]
    if failures:
        return FailedChecksResponse(error="; ".join(failures), checks=dict(checks)).response(503)
    return ChecksResponse(status=OK, checks=dict(checks)).response()
