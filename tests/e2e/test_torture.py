"""The short forms of `make torture` and `make soak`."""

from __future__ import annotations

from pathlib import Path

from torture.kills import BLOWS, VICTIMS, Plan, clips, torture


def test_every_victim_survives_every_blow(tmp_path: Path) -> None:
    plan = Plan(kills=len(VICTIMS) * len(BLOWS), seed=3, stop_s=0.3, calm_s=0.3, open_jobs=6)
    report = torture(tmp_path, plan, clips()[:4])

    assert report.good, list(report.lines())
    assert report.blows.keys() == {(victim, blow.name) for victim in VICTIMS for blow in BLOWS}
    assert report.restarts == 4
    assert report.acknowledged >= 6
    assert max(report.end_s) < 10
