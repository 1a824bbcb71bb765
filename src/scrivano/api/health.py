"""`/health`: whether the server is there, and what it runs on."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from scrivano.api.documents import HealthView
from scrivano.api.services import ServicesDep

router = APIRouter(tags=["health"])


@router.head("/health", include_in_schema=False)
@router.get("/health", summary="Whether the server is there, and what it runs on", response_model=HealthView)
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
