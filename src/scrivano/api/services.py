"""The parts of the server that routes work with, each as a dependency: a route names just those that it uses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Request

from scrivano.api.long_calls import LongCalls
from scrivano.auth.keys import ANONYMOUS, Caller
from scrivano.auth.stream_tokens import StreamTokens
from scrivano.engines.gpu_memory import GpuMemory
from scrivano.files.blobs import Blobs
from scrivano.running.executor import Executor
from scrivano.running.model_event_log import ModelEventLog
from scrivano.store.database import Database
from scrivano.store.jobs import JobStore
from scrivano.store.outbox import Outbox
from scrivano.store.wake_ups import WakeUps
from scrivano.submission.enrolment import Enrolment
from scrivano.submission.model_names import ServedModels
from scrivano.submission.resumable_jobs import ResumableJobs
from scrivano.submission.retries import Retries
from scrivano.submission.submissions import Submissions
from scrivano.submission.voice_samples import VoiceSamples
from scrivano.submission.waiter import Waiter
from scrivano.telemetry.history import History
from scrivano.telemetry.metrics import Metrics
from scrivano.webhooks.sender import WebhookSender

__all__ = [
    "BlobsDep",
    "CallerDep",
    "DatabaseDep",
    "EnrolmentDep",
    "ExecutorDep",
    "HistoryDep",
    "LongCallsDep",
    "MetricsDep",
    "ModelLogDep",
    "ModelsDep",
    "OutboxDep",
    "ReadGpuDep",
    "ResumableJobsDep",
    "RetriesDep",
    "Services",
    "StoreDep",
    "StreamTokensDep",
    "SubmissionsDep",
    "VoiceSamplesDep",
    "WaiterDep",
    "WakeUpsDep",
    "WebhooksDep",
]

ReadGpu = Callable[[], GpuMemory | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """All parts, as the composition root builds them.

    `models`: those that are served, the default one first. `enrolment` None: no voices are kept. `read_gpu`: the memory
    of the GPU that is shown to clients, None if there is none.
    """

    database: Database
    store: JobStore
    outbox: Outbox
    blobs: Blobs
    executor: Executor
    webhooks: WebhookSender
    submissions: Submissions
    resumable_jobs: ResumableJobs
    retries: Retries
    waiter: Waiter
    long_calls: LongCalls
    wake_ups: WakeUps
    enrolment: Enrolment | None
    voice_samples: VoiceSamples
    model_log: ModelEventLog
    stream_tokens: StreamTokens
    metrics: Metrics
    history: History
    read_gpu: ReadGpu
    models: ServedModels

    @property
    def model(self) -> str:
        return self.models[0]


def _part(select: Callable[[Services], Any]) -> Any:
    # Async: FastAPI runs other dependencies in a thread, which is a quarter of the cost of a small request.
    async def dependency(request: Request) -> Any:
        return select(request.app.state.services)

    return Depends(dependency)


async def _caller(request: Request) -> Caller:
    """`Authorization` puts it there; without API keys there is none."""
    caller: Caller = request.scope.get("state", {}).get("caller", ANONYMOUS)
    return caller


BlobsDep = Annotated[Blobs, _part(lambda services: services.blobs)]
CallerDep = Annotated[Caller, Depends(_caller)]
DatabaseDep = Annotated[Database, _part(lambda services: services.database)]
EnrolmentDep = Annotated[Enrolment | None, _part(lambda services: services.enrolment)]
ExecutorDep = Annotated[Executor, _part(lambda services: services.executor)]
HistoryDep = Annotated[History, _part(lambda services: services.history)]
LongCallsDep = Annotated[LongCalls, _part(lambda services: services.long_calls)]
MetricsDep = Annotated[Metrics, _part(lambda services: services.metrics)]
ModelLogDep = Annotated[ModelEventLog, _part(lambda services: services.model_log)]
ModelsDep = Annotated[ServedModels, _part(lambda services: services.models)]
OutboxDep = Annotated[Outbox, _part(lambda services: services.outbox)]
ReadGpuDep = Annotated[ReadGpu, _part(lambda services: services.read_gpu)]
ResumableJobsDep = Annotated[ResumableJobs, _part(lambda services: services.resumable_jobs)]
RetriesDep = Annotated[Retries, _part(lambda services: services.retries)]
StoreDep = Annotated[JobStore, _part(lambda services: services.store)]
StreamTokensDep = Annotated[StreamTokens, _part(lambda services: services.stream_tokens)]
SubmissionsDep = Annotated[Submissions, _part(lambda services: services.submissions)]
VoiceSamplesDep = Annotated[VoiceSamples, _part(lambda services: services.voice_samples)]
WaiterDep = Annotated[Waiter, _part(lambda services: services.waiter)]
WakeUpsDep = Annotated[WakeUps, _part(lambda services: services.wake_ups)]
WebhooksDep = Annotated[WebhookSender, _part(lambda services: services.webhooks)]
