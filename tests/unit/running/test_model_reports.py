from __future__ import annotations

import json
from datetime import UTC, datetime

from scrivano.running.model_reports import joined, report_of, status_of
from scrivano.running.model_state import Life, ModelState
from scrivano.running.model_status import EngineStatus, ModelStatus

READY = ModelStatus(
    Life(state=ModelState.READY, loaded_at=datetime(2026, 1, 31, 12, 30, tzinfo=UTC)),
    engines=[EngineStatus("10.0.0.1", ModelState.READY), EngineStatus(None, ModelState.WAITING_FOR_GPU)],
)
WAITING = ModelStatus(
    Life(
        state=ModelState.WAITING_FOR_GPU,
        vram_needed_mb=4000,
        vram_free_mb=512,
        retry_at=110.0,
        lacking_since=70.0,
        failures=2,
        last_error="it was full",
    ),
    download={"done_bytes": 5, "total_bytes": None},
    engines=[EngineStatus("10.0.0.2", ModelState.LOADING)],
)


def test_a_state_is_the_same_at_a_server_with_another_clock() -> None:
    queued = Life(state=ModelState.WAITING_FOR_GPU, lacking_since=70.0, queued=True)
    for status in (READY, WAITING, ModelStatus(Life()), ModelStatus(queued)):
        report = json.loads(json.dumps(report_of(status, now=100.0)))
        there = status_of(report, now=5003.0, age_s=3.0)

        assert report_of(there, now=5000.0) == report
        assert there.engines == list(status.engines)


def test_one_ready_engine_of_any_dispatcher_is_enough() -> None:
    both = joined([WAITING, READY])

    assert both.life is READY.life
    assert both.engines == [*WAITING.engines, *READY.engines]
