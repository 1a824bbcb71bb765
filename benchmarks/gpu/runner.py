"""Runs the stages one after the other, each in a process of its own that is killed at its limit."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from benchmarks.gpu.results import Outcome, Row, StageResult, from_lines, to_line
from benchmarks.gpu.stages import Stage

# A stage that would get less than this is not started.
LEAST_S = 5.0

# Time for a stage to stop its servers, after which they are killed, too.
STOP_S = 5.0

FAILED = 1

# The command that runs one stage and appends its rows to a file.
Command = Callable[[Stage, float, Path], Sequence[str]]


def run_stages(
    stages: Sequence[Stage], command: Command, folder: Path, budget_s: float, factor: float = 1.0
) -> Iterator[StageResult]:
    """Yield each result as soon as it is known. All stages together take at most `budget_s`.

    `folder`: for rows and logs. `factor`: by which all limits are multiplied, for slow machines.
    """
    deadline = time.monotonic() + budget_s
    for n, stage in enumerate(stages):
        limit_s = min(factor * stage.limit_s, deadline - time.monotonic() - STOP_S)
        if limit_s < LEAST_S:
            yield StageResult(name=stage.name, outcome="not started", seconds=0, limit_s=factor * stage.limit_s)
        else:
            yield run_stage(stage.name, lambda rows, s=stage, t=limit_s: command(s, t, rows), folder / str(n), limit_s)  # type: ignore[misc]


def run_stage(name: str, command: Callable[[Path], Sequence[str]], place: Path, limit_s: float) -> StageResult:
    """`place`: a path; the files beside it get its name and an ending."""
    rows, log = place.with_suffix(".rows"), place.with_suffix(".log")
    rows.touch()
    began = time.monotonic()
    with log.open("wb") as output:
        process = subprocess.Popen(command(rows), stdout=output, stderr=output, start_new_session=True)
        try:
            code = process.wait(limit_s)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            _end(process)
    found = from_lines(rows.read_text().splitlines())
    seconds = time.monotonic() - began
    tail = log.read_text(errors="replace")[-4000:]
    if code is None:
        error = f"killed after {limit_s:.0f} s; the end of its output:\n{tail}"
        return StageResult(name=name, outcome="out of time", seconds=seconds, limit_s=limit_s, rows=found, error=error)
    error = "" if code == 0 else f"exit status {code}; the end of its output:\n{tail}"
    outcome: Outcome = "done" if code == 0 else "failed"
    return StageResult(name=name, outcome=outcome, seconds=seconds, limit_s=limit_s, rows=found, error=error)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the process and all that it started: they are one process group."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_S)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def append_rows(rows: Iterator[Row], path: Path) -> int:
    """In the stage's process: write each row as soon as it is known. Returns the exit status."""
    try:
        with path.open("a") as file:
            for row in rows:
                file.write(to_line(row) + "\n")
                file.flush()
    except Exception:  # the border of a stage: its traceback is part of the result
        traceback.print_exc()
        return FAILED
    finally:
        sys.stdout.flush()
    return 0
