"""The whole GPU check on the CPU, at its smallest sizes: every stage runs, and what it writes is complete."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_every_stage_runs_on_the_cpu(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.gpu", "--out", str(tmp_path), "--device", "cpu"]
    done = subprocess.run(
        [*command, "--slower", "6", "--seconds", "1200"], cwd=ROOT, capture_output=True, text=True, check=False
    )

    written = json.loads((tmp_path / "gpu.json").read_text())
    assert {stage["name"]: stage["outcome"] for stage in written["stages"] if stage["outcome"] != "done"} == {}
    assert done.returncode == 0, done.stdout + (tmp_path / "gpu.md").read_text()
    rows = {row["name"]: row for stage in written["stages"] for row in stage["rows"]}
    assert all(row["skipped"] or row["value"] != "" for row in rows.values())
    assert rows["memory held by another process"]["skipped"]
    assert rows["words of nano: cpu, int8"]["ok"]
    assert rows["cancel: the job is cancelled"]["ok"]
    assert rows["memory after the idle unload"]["ok"]
    assert rows["mini-128, int8: batch 2, beam 5, timestamps, 1 at once"]["data"]["batch"] == 2
    # Models and recordings are deleted.
    assert {path.name for path in tmp_path.iterdir()} == {"gpu.json", "gpu.md", "gpu.log"}
