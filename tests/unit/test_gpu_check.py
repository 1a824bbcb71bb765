"""The pure parts of `benchmarks.gpu`, and how it runs its stages."""

from __future__ import annotations

import ctypes
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from benchmarks.gpu.check import FULL, SMALL, Check, until
from benchmarks.gpu.holder import MEGABYTE, Holder, take
from benchmarks.gpu.results import Row, StageResult, from_lines, to_line, write
from benchmarks.gpu.runner import append_rows, run_stage, run_stages
from benchmarks.gpu.stages import Stage, stages
from benchmarks.gpu.sweep import Point, points


def nothing(check: Check) -> Iterator[Row]:
    yield from ()


def python(code: str, rows: Path) -> list[str]:
    return [sys.executable, "-c", code, str(rows), to_line(Row(name="first", value=1.0))]


WRITE = "import sys, time; open(sys.argv[1], 'a').write(sys.argv[2] + '\\n')\n"


def test_rows_survive_as_lines_and_a_line_that_is_cut_off_ends_them() -> None:
    rows = [Row(name="a", value=1.5, unit="s", data={"batch": 4}), Row(name="b", skipped="no GPU")]
    lines = [to_line(row) for row in rows]

    assert from_lines(lines) == rows
    assert from_lines([lines[0], lines[1][:9]]) == rows[:1]


def test_the_table_shows_what_is_wrong_and_what_was_skipped(tmp_path: Path) -> None:
    rows = [Row(name="load", value=1234.5, unit="MB"), Row(name="memory|back", ok=False), Row(name="c", skipped="none")]
    result = StageResult(name="server", outcome="failed", seconds=3, limit_s=9, rows=rows, error="Traceback: x")
    write(tmp_path, {"device": "cpu"}, [result])
    text = (tmp_path / "gpu.md").read_text()

    assert "| server | failed, 1 wrong | 3 | 9 |" in text
    assert "| load | 1,234 MB |  |  |" in text
    assert "| memory\\|back |  | WRONG |  |" in text
    assert "| c | skipped: none |  |  |" in text
    assert "Traceback: x" in text
    written = json.loads((tmp_path / "gpu.json").read_text())
    assert (written["about"], written["stages"][0]["passed"]) == ({"device": "cpu"}, False)


def test_a_stage_passes_if_it_is_done_and_nothing_is_wrong() -> None:
    assert StageResult(name="a", outcome="done", seconds=1, limit_s=2, rows=[Row(name="b", ok=True)]).passed
    assert not StageResult(name="a", outcome="done", seconds=1, limit_s=2, rows=[Row(name="b", ok=False)]).passed
    assert not StageResult(name="a", outcome="out of time", seconds=1, limit_s=2).passed


@pytest.mark.parametrize(
    ("code", "outcome", "said"),
    [
        (WRITE, "done", ""),
        (WRITE + "raise RuntimeError('no device')", "failed", "RuntimeError: no device"),
        (WRITE + "import os; os.abort()", "failed", "exit status -6"),
        (WRITE + "time.sleep(600)", "out of time", "killed after 8 s"),
    ],
    ids=["well", "raising", "crashing", "hanging"],
)
def test_however_a_stage_ends_its_rows_are_kept(tmp_path: Path, code: str, outcome: str, said: str) -> None:
    limit_s = 8 if outcome == "out of time" else 60
    result = run_stage("one", lambda rows: python(code, rows), tmp_path / "one", limit_s)

    assert result.outcome == outcome
    assert said in result.error
    assert [row.name for row in result.rows] == ["first"]


def test_a_stage_that_fails_does_not_stop_the_others_and_no_time_means_no_start(tmp_path: Path) -> None:
    codes = {"bad": "raise SystemExit(3)", "good": WRITE}

    def command(stage: Stage, limit_s: float, rows: Path) -> Sequence[str]:
        return python(codes[stage.name], rows)

    chosen = [Stage("bad", 60, nothing), Stage("good", 60, nothing)]
    found = list(run_stages(chosen, command, tmp_path, budget_s=600))
    late = list(run_stages(chosen, command, tmp_path, budget_s=1))

    assert [one.outcome for one in found] == ["failed", "done"]
    assert [one.outcome for one in late] == ["not started"] * 2


def test_rows_are_written_until_the_stage_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def rows() -> Iterator[Row]:
        yield Row(name="before")
        raise ValueError("why")

    assert append_rows(rows(), tmp_path / "rows") == 1
    assert [row.name for row in from_lines((tmp_path / "rows").read_text().splitlines())] == ["before"]
    assert "ValueError: why" in capsys.readouterr().err


def test_the_limits_fit_into_eight_minutes_but_for_the_last_stages() -> None:
    limits = [stage.limit_s for stage in stages(FULL)]

    assert sum(limits[:6]) <= 460
    assert len({stage.name for stage in stages(FULL)}) == len(limits) == len(stages(SMALL)) + 2


def test_the_important_points_come_first_and_none_twice() -> None:
    found = points((1, 4, 16, 32, 64), (16, 32))

    assert found[:5] == [Point(batch, 5) for batch in (1, 4, 16, 32, 64)]
    assert len(set(found)) == len(found) == 24
    assert {point.at_once for point in found} == {1, 2}


def test_until_gives_up() -> None:
    assert until(lambda: "yes", 1, "yes") == "yes"
    with pytest.raises(TimeoutError, match="still not: it rains"):
        until(lambda: None, 0, "it rains")


class Driver:
    """The driver's functions over so much memory, of which no piece larger than `largest_mb` can be had."""

    def __init__(self, free_mb: int, largest_mb: int, initialised: int = 0) -> None:
        self.free_mb = free_mb
        self._largest_mb = largest_mb
        self._initialised = initialised

    def cuInit(self, flags: int) -> int:
        return self._initialised

    def cuDeviceGet(self, device: object, index: int) -> int:
        return 0

    def cuDevicePrimaryCtxRetain(self, context: object, device: object) -> int:
        return 0

    def cuCtxSetCurrent(self, context: object) -> int:
        return 0

    def cuMemGetInfo_v2(self, free: object, total: object) -> int:
        ctypes.cast(free, ctypes.POINTER(ctypes.c_size_t))[0] = ctypes.c_size_t(self.free_mb * MEGABYTE)  # type: ignore[arg-type]
        return 0

    def cuMemAlloc_v2(self, address: object, size: ctypes.c_size_t) -> int:
        if size.value > min(self._largest_mb, self.free_mb) * MEGABYTE:
            return 2
        self.free_mb -= size.value // MEGABYTE
        return 0


def test_the_holder_takes_all_but_what_it_must_leave_in_smaller_and_smaller_pieces() -> None:
    assert take(Driver(10_000, largest_mb=100), 300) == {"held_mb": 9700, "free_mb": 300}
    assert take(Driver(200, largest_mb=100), 300) == {"held_mb": 0, "free_mb": 200}
    assert take(Driver(200, 100, initialised=100), 0) == {"error": "cuInit failed with CUDA error 100"}


def test_a_holder_process_ends_when_it_is_released() -> None:
    with Holder(leave_mb=1 << 30) as holder:
        holder.release()

    assert holder.held_mb == 0
