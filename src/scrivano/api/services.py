"""What the routes work with, built by `serve.py` and handed to each request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated

from fastapi import Depends, Request

from scrivano.auth.keys import ANONYMOUS, Caller
from scrivano.engines.gpu_memory import MemoryReader
from scrivano.files.blobs import Blobs
from scrivano.running.runner import Runner
from scrivano.store.database import Database
from scrivano.store.jobs import JobStore
from scrivano.store.outbox import Outbox
from scrivano.store.wake_ups import ModelEventLog, WakeUps
from scrivano.submission.resumable_jobs import ResumableJobs
from scrivano.submission.submissions import Submissions
from scrivano.submission.waiter import Waiter
from scrivano.telemetry.metrics import Metrics
from scrivano.webhooks.sender import WebhookSender

__all__ = ["Services", "ServicesDep"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """`models`: those that are served, the default one first. `gpu`: the device whose memory is shown. `caller`: who
    made the request that this is handed to."""

    database: Database
    store: JobStore
    outbox: Outbox
    blobs: Blobs
    runner: Runner
    webhooks: WebhookSender
    submissions: Submissions
    resumable_jobs: ResumableJobs
    waiter: Waiter
    wake_ups: WakeUps
    model_log: ModelEventLog
    memory: MemoryReader
    metrics: Metrics
    gpu: int
    models: Sequence[str]
    caller: Caller = ANONYMOUS

    @property
    def model(self) -> str:
        return self.models[0]


async def _services(request: Request) -> Services:
    """Async: FastAPI would take a thread for anything else, which is a quarter of what a request costs."""
    services: Services = request.app.state.services
    caller: Caller | None = request.scope.get("state", {}).get("caller")
    return services if caller is None else replace(services, caller=caller)


ServicesDep = Annotated[Services, Depends(_services)]
