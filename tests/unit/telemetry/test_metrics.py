from __future__ import annotations

import time

from scrivano.telemetry.events import RequestEnded
from scrivano.telemetry.metrics import MetricGauge, Metrics


def test_a_gauge_that_cannot_be_read_does_not_hide_the_others() -> None:
    metrics = Metrics()
    metrics.add([MetricGauge("scrivano_broken", "", [], lambda: [((), 1 / 0)])])

    body, _ = metrics.render("")

    assert b"scrivano_build_info" in body


def test_an_event_takes_less_than_a_tenth_of_a_millisecond() -> None:
    metrics, count = Metrics(), 2000
    event = RequestEnded("GET", "/jobs/{job_id}", 200, 0.01, stream=False)
    started_at = time.process_time()
    for _ in range(count):
        metrics.emit(event)

    assert (time.process_time() - started_at) / count < 0.0001
