"""The short forms of `make torture` and `make soak`."""

from __future__ import annotations

from pathlib import Path

import pytest

from torture.kills import BLOWS, VICTIMS, Plan, clips, torture
from torture.soak import Trend, soak, trend


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_every_victim_survives_every_blow(tmp_path: Path) -> None:
    plan = Plan(kills=len(VICTIMS) * len(BLOWS), seed=3, stop_s=0.3, calm_s=0.3, open_jobs=6)
    report = torture(tmp_path, plan, clips()[:4])

    assert report.good, list(report.lines())
    assert report.blows.keys() == {(victim, blow.name) for victim in VICTIMS for blow in BLOWS}
    assert report.restarts == 4
    assert report.acknowledged >= 6
    assert max(report.end_s) < 60  # 5 s and less on a machine that does nothing else


@pytest.mark.slow
def test_a_short_soak_counts_what_it_did(tmp_path: Path) -> None:
    found = soak(tmp_path, seconds=0, jobs=6, loads=3)

    assert (found.jobs, found.failed, found.loads, len(found.samples)) == (6, 0, 3, 3)
    assert all(sample.resident_kb > 10_000 and sample.threads > 1 for sample in found.samples)


def test_a_trend_leaves_the_warm_up_and_outliers_out() -> None:
    flat = [(n, 500.0 if n in (0, 5) else 100.0) for n in range(10)]

    assert trend(flat) == Trend((100, 100, 500, 100, 100), 0)
    assert trend([(n, 10.0 * n) for n in range(10)]).slope == pytest.approx(36_000)
