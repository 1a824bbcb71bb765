"""Measured figures and their goals, as a table, as JSON and as a plot. Pure, except that it writes files."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from html import escape
from pathlib import Path
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Goal:
    """`most`: the largest allowed value; `least`: the smallest."""

    sense: Literal["most", "least"]
    value: float

    def met(self, value: float) -> bool:
        return value <= self.value if self.sense == "most" else value >= self.value

    def __str__(self) -> str:
        return f"{'≤' if self.sense == 'most' else '≥'} {self.value:g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One measured value. `unit` is empty for a ratio; without a goal it is only informative. `detail`: its parts."""

    group: str
    name: str
    value: float
    unit: str = ""
    goal: Goal | None = None
    detail: str = ""

    @property
    def verdict(self) -> str:
        if self.goal is None:
            return ""
        return "met" if self.goal.met(self.value) else "MISSED"


def at_most(value: float) -> Goal:
    return Goal("most", value)


def at_least(value: float) -> Goal:
    return Goal("least", value)


def quantile(values: Sequence[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def ratio(above: Sequence[float], below: Sequence[float]) -> float:
    """The median of the ratios of all rounds: other load on the machine in a round affects both values."""
    return statistics.median(a / b for a, b in zip(above, below, strict=True))


def ordered(figures: Sequence[Figure]) -> list[Figure]:
    """Ratios with a goal first, then other figures with a goal, then the rest."""
    return sorted(figures, key=lambda one: (one.goal is None, bool(one.unit)))


HEADS = ("group", "what", "measured", "goal", "", "detail")


def table(figures: Sequence[Figure]) -> str:
    rows = [HEADS, *(_row(one) for one in ordered(figures))]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADS))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([lines[0], "-" * max(map(len, lines)), *lines[1:]])


def _row(one: Figure) -> tuple[str, ...]:
    return (
        one.group,
        one.name,
        f"{_number(one.value)} {one.unit}".rstrip(),
        str(one.goal or ""),
        one.verdict,
        one.detail,
    )


def _number(value: float) -> str:
    """With three significant digits."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    return f"{value:.{max(0, 2 - math.floor(math.log10(abs(value))))}f}"


def write(folder: Path, figures: Sequence[Figure], machine: Mapping[str, Any], samples: Mapping[str, Any]) -> None:
    """Write `bench.json` (everything), `bench.txt` (the table) and `bench.svg` (the plot)."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [{**asdict(one), "verdict": one.verdict} for one in ordered(figures)]
    everything = {"machine": machine, "figures": rows, "samples": samples}
    (folder / "bench.json").write_text(json.dumps(everything, indent=1, ensure_ascii=False, default=str))
    (folder / "bench.txt").write_text(table(figures) + "\n")
    (folder / "bench.svg").write_text(plot(figures))


ROW, LEFT, SPAN = 22, 430, 420


def plot(figures: Sequence[Figure]) -> str:
    """A bar for each figure with a goal, relative to the goal, which is the line."""
    shown = [one for one in ordered(figures) if one.goal is not None and one.goal.value > 0]
    height = ROW * (len(shown) + 2)
    bars = "".join(_bar(one, ROW * (n + 1)) for n, one in enumerate(shown))
    goal = LEFT + SPAN / 2
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {LEFT + SPAN + 130} {height}" '
        f'font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="white"/>'
        f'{bars}<path d="M{goal} {ROW - 8}V{height - ROW}" stroke="black" stroke-dasharray="3 3"/>'
        f'<text x="{goal}" y="{height - 6}" text-anchor="middle">the goal; longer bars are better</text></svg>'
    )


def _bar(one: Figure, y: int) -> str:
    """Half of the width is the goal; the full width is twice as good as the goal, or better."""
    assert one.goal is not None
    score = one.value / one.goal.value if one.goal.sense == "least" else one.goal.value / max(one.value, 1e-9)
    width = SPAN / 2 * min(score, 2.0)
    colour = "#2a7" if one.verdict == "met" else "#c43"
    label = escape(f"{one.group}: {one.name}"[:66])
    measured = escape(f"{_number(one.value)} {one.unit}".rstrip() + f" ({one.goal})")
    return (
        f'<text x="{LEFT - 8}" y="{y + 4}" text-anchor="end">{label}</text>'
        f'<rect x="{LEFT}" y="{y - 7}" width="{width:.1f}" height="14" fill="{colour}"/>'
        f'<text x="{LEFT + width + 6:.1f}" y="{y + 4}">{measured}</text>'
    )
