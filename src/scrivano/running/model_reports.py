"""The state of models as dispatchers tell it to servers: as JSON, and several reports as one state. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from scrivano.domain.job import utc
from scrivano.running.model_state import Life, ModelState
from scrivano.running.model_status import EngineStatus, ModelStatus

__all__ = ["joined", "report_of", "status_of"]


def report_of(status: ModelStatus, *, now: float) -> dict[str, Any]:
    """`now` is monotonic; the times of the report count from then."""
    life = status.life
    return {
        "state": life.state.value,
        "loaded_at": life.loaded_at and utc(life.loaded_at),
        "vram_needed_mb": life.vram_needed_mb,
        "vram_free_mb": life.vram_free_mb,
        "retry_in_s": max(0.0, round(life.retry_at - now, 1)) if life.state is ModelState.WAITING_FOR_GPU else 0.0,
        "lacking_s": None if life.lacking_since is None else round(now - life.lacking_since, 1),
        "queued": life.queued,
        "failures": life.failures,
        "last_error": life.last_error,
        "download": status.download and dict(status.download),
        "engines": [{"node": engine.node, "state": engine.state.value} for engine in status.engines],
    }


def status_of(report: Mapping[str, Any], *, now: float, age_s: float) -> ModelStatus:
    """The reverse, at a server, `age_s` later."""
    lacking_s, loaded_at = report["lacking_s"], report["loaded_at"]
    life = Life(
        state=ModelState(report["state"]),
        loaded_at=None if loaded_at is None else datetime.fromisoformat(loaded_at),
        vram_needed_mb=report["vram_needed_mb"],
        vram_free_mb=report["vram_free_mb"],
        retry_at=now - age_s + report["retry_in_s"],
        lacking_since=None if lacking_s is None else now - age_s - lacking_s,
        queued=report.get("queued", False),  # an older dispatcher does not say it
        failures=report["failures"],
        last_error=report["last_error"],
    )
    engines = [EngineStatus(engine["node"], ModelState(engine["state"])) for engine in report["engines"]]
    return ModelStatus(life, report["download"], engines=engines)


def joined(statuses: Sequence[ModelStatus]) -> ModelStatus:
    """One state for those of several dispatchers; at least one."""
    best = min(statuses, key=lambda status: status.life.state.rank)
    return ModelStatus(best.life, best.download, engines=[one for status in statuses for one in status.engines])
