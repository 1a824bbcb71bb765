"""What the routes work with, built by `serve.py` and handed to each request."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated

from fastapi import Depends, Request

from scrivano.auth.keys import ANONYMOUS, Caller
from scrivano.engines.gpu_memory import MemoryReader
from scrivano.files.blobs import Blobs
from scrivano.running.loop import Runner
from scrivano.store.database import Database
from scrivano.store.jobs import JobStore
from scrivano.store.outbox import Outbox
from scrivano.store.wake_ups import ModelEventLog, WakeUps
from scrivano.submission.download import Downloads
from scrivano.submission.resumable import ResumableUploads
from scrivano.telemetry.events import Emit
from scrivano.telemetry.metrics import Metrics
from scrivano.webhooks.sender import WebhookSender

__all__ = ["Services", "ServicesDep"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """`models`: the first is meant where none is named. `gpu`: the device whose memory is shown. `queue_always`: accept
    submissions whatever the model's state. `max_upload_bytes` and `max_queue` None: no limit. `caller`: who made the
    request that this is handed to."""

    database: Database
    store: JobStore
    outbox: Outbox
    blobs: Blobs
    runner: Runner
    webhooks: WebhookSender
    downloads: Downloads
    partial_uploads: ResumableUploads
    wake_ups: WakeUps
    model_log: ModelEventLog
    memory: MemoryReader
    metrics: Metrics
    emit: Emit
    now: Callable[[], datetime]
    new_id: Callable[[], str]
    gpu: int
    models: Sequence[str]
    gpu_poll_interval_secs: int
    queue_always: bool = False
    max_upload_bytes: int | None = None
    max_queue: int | None = None
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
