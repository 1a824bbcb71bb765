"""What `benchmarks.cluster` computes from what it has measured."""

from __future__ import annotations

import pytest

from benchmarks.cluster import Batch, busy
from benchmarks.cluster_simulation import Load, Part, parts, simulate


def test_busy_counts_the_pauses_between_batches_of_each_engine() -> None:
    batches = [
        Batch(1, 0.0, 4.0, 8),
        Batch(1, 4.0, 8.0, 8),
        Batch(2, 1.0, 4.0, 8),
        Batch(2, 5.0, 9.0, 8),
    ]

    # From 1 s, when both work, to 5 s, when the last batch begins; the second engine paused for one second.
    assert busy(batches) == pytest.approx(7 / 8)


def test_busy_of_one_engine_without_pauses_is_whole() -> None:
    assert busy([Batch(1, 0.0, 4.0, 8), Batch(1, 4.0, 8.0, 8)]) == 1.0


def test_a_simulation_is_the_same_each_time_and_names_the_slowest_part() -> None:
    load = Load(jobs_a_day=100_000)

    first, second = (simulate(load, parts(load, dispatcher_s=0.001)) for _ in range(2))

    assert first == second
    assert max(first, key=lambda one: one.share).part.name == "GPUs"


def test_jobs_wait_where_the_workers_are_busy() -> None:
    load = Load(jobs_a_day=100_000, peak=1.0)  # 1.16 jobs a second

    idle, busy_one = simulate(load, [Part(name="idle", workers=2, job_s=0.1), Part(name="busy", workers=1, job_s=0.8)])

    assert idle.share == pytest.approx(0.058, rel=0.1)
    assert busy_one.share == pytest.approx(0.93, rel=0.1)
    assert busy_one.waits[1] > 10 * idle.waits[1]
