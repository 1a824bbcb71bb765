"""`/history`: the last hour of the server, for a page that draws it."""

from __future__ import annotations

import os
from dataclasses import asdict

from fastapi import Response

from scrivano.api.routing import Router
from scrivano.api.schemas import HistoryResponse, HistorySample
from scrivano.api.services import HistoryDep, ReadGpuDep
from scrivano.auth.keys import Scope
from scrivano.telemetry.history import INTERVAL_S

router = Router(tag="health")


@router.get("/history", summary="The last hour of the server", response_model=HistoryResponse)
@router.requires(Scope.READ, probe=True)
def history(history: HistoryDep, read_gpu: ReadGpuDep) -> Response:
    """A sample every ten seconds: queue, throughput, memory, processor, GPU. In memory only; `/metrics` is for
    monitoring systems."""
    gpu = read_gpu()
    return HistoryResponse(
        interval_secs=INTERVAL_S,
        cpu_cores=os.cpu_count(),
        gpu_name=None if gpu is None else gpu.name,
        gpu_total_mb=None if gpu is None else gpu.total_mb,
        samples=[HistorySample(**asdict(sample)) for sample in history.samples],
    ).response()
