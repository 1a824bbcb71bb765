"""What the stages found, as JSON and as Markdown. Pure, except that `write` writes files."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

Outcome = Literal["done", "failed", "out of time", "not started"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One figure or observation. `ok`: whether it is as it must be; None: it only informs.

    `skipped`: why it was not measured. `data`: the same for programs.
    """

    name: str
    value: float | str = ""
    unit: str = ""
    detail: str = ""
    ok: bool | None = None
    skipped: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class StageResult:
    """`rows`: all that the stage found before it ended. `error`: a traceback, or how its process ended."""

    name: str
    outcome: Outcome
    seconds: float
    limit_s: float
    rows: Sequence[Row] = ()
    error: str = ""

    @property
    def passed(self) -> bool:
        return self.outcome == "done" and all(row.ok is not False for row in self.rows)


def to_line(row: Row) -> str:
    return json.dumps(asdict(row), ensure_ascii=False, default=str)


def from_lines(lines: Iterable[str]) -> list[Row]:
    """The last line may be cut off, because its writer was killed."""
    rows = []
    for line in lines:
        try:
            rows.append(Row(**json.loads(line)))
        except ValueError:
            break
    return rows


def write(folder: Path, about: Mapping[str, Any], results: Sequence[StageResult]) -> None:
    """Write `gpu.json` and `gpu.md`. Each of them is replaced as a whole."""
    folder.mkdir(parents=True, exist_ok=True)
    everything = {"about": about, "stages": [asdict(one) | {"passed": one.passed} for one in results]}
    _replace(folder / "gpu.json", json.dumps(everything, indent=1, ensure_ascii=False, default=str) + "\n")
    _replace(folder / "gpu.md", markdown(about, results))


def _replace(path: Path, text: str) -> None:
    fresh = path.with_name(path.name + ".new")
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(path)


def markdown(about: Mapping[str, Any], results: Sequence[StageResult]) -> str:
    lines = ["# GPU check", "", *(f"- {name}: {value}" for name, value in about.items()), ""]
    lines += ["| stage | outcome | seconds | limit |", "| --- | --- | --- | --- |"]
    lines += [f"| {one.name} | {_verdict(one)} | {one.seconds:.0f} | {one.limit_s:.0f} |" for one in results]
    for one in results:
        lines += ["", f"## {one.name}", ""]
        if one.rows:
            lines += ["| what | measured | | detail |", "| --- | --- | --- | --- |", *map(_row, one.rows)]
        if one.error:
            lines += ["", f"{one.outcome}:", "", "```", one.error.rstrip(), "```"]
    return "\n".join(lines) + "\n"


def _verdict(one: StageResult) -> str:
    wrong = sum(row.ok is False for row in one.rows)
    return one.outcome if not wrong else f"{one.outcome}, {wrong} wrong"


def _row(row: Row) -> str:
    measured = f"skipped: {row.skipped}" if row.skipped else f"{_value(row.value)} {row.unit}".rstrip()
    verdict = {None: "", True: "ok", False: "WRONG"}[row.ok]
    return "| " + " | ".join(_cell(text) for text in (row.name, measured, verdict, row.detail)) + " |"


def _value(value: float | str) -> str:
    if isinstance(value, str):
        return value
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", "<br>")
