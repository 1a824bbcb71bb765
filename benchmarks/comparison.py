"""Several systems with the same speech: words, speed and memory side by side, as a table and as a plot. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from benchmarks.spoken import Words


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One system over all recordings of a workload.

    `audio_s`: their length; `seconds`: until all were done; `cpu`: processor time of all its processes, by language,
    too, if the recordings came one after the other. `memory_mb`: the most resident memory of its processes.
    """

    name: str
    audio_s: float
    seconds: float
    cpu: float
    memory_mb: float
    words: Mapping[str, Words]
    cpu_by_language: Mapping[str, float]

    @property
    def all_words(self) -> Words:
        return sum(self.words.values(), Words())

    @property
    def speed(self) -> float:
        """Seconds of audio for each second of processor time."""
        return self.audio_s / self.cpu


HEADS = ("system", "words wrong", "x real time", "processor s for a minute", "memory")


def markdown(title: str, measured: Sequence[Measured]) -> str:
    """A table; the languages are the last columns: words wrong, and processor seconds for a second of audio."""
    languages = sorted({language for one in measured for language in one.words})
    heads = (*HEADS, *languages)
    lines = [f"## {title}", "", _line(heads), _line(["---"] * len(heads))]
    return "\n".join([*lines, *(_line(_cells(one, languages)) for one in measured)]) + "\n"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _cells(one: Measured, languages: Sequence[str]) -> list[str]:
    return [
        one.name,
        f"{one.all_words.percent:.2f} % of {one.all_words.count}",
        f"{one.audio_s / one.seconds:.1f}",
        f"{60 * one.cpu / one.audio_s:.2f}",
        f"{one.memory_mb:,.0f} MB",
        *(_of_language(one, language) for language in languages),
    ]


def _of_language(one: Measured, language: str) -> str:
    words, cpu = one.words.get(language), one.cpu_by_language.get(language)
    wrong = "" if words is None else f"{words.percent:.1f} %"
    return wrong if cpu is None else f"{wrong}, {cpu:.3f}"


WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 900, 520, 60, 50, 40, 300
LINE = 15

COLOURS = ("#2a7", "#36c", "#c43", "#a5a", "#c80")


def plot(title: str, measured: Sequence[Measured]) -> str:
    """Speed over wrong words, as SVG: up and to the left is better. A colour for each program."""
    most_wrong = 1.1 * max(one.all_words.percent for one in measured) or 1.0
    most_speed = 1.1 * max(one.speed for one in measured)
    programs = list(dict.fromkeys(_program(one) for one in measured))
    right, low = WIDTH - RIGHT, HEIGHT - BOTTOM
    parts = [
        f'<text x="{LEFT}" y="20" font-size="15">{escape(title)}</text>',
        f'<path d="M{LEFT} {TOP}V{low}H{right}" fill="none" stroke="black"/>',
        f'<text x="{(LEFT + right) / 2}" y="{HEIGHT - 10}" text-anchor="middle">words wrong, %</text>',
        f'<text transform="translate(16 {(TOP + low) / 2}) rotate(-90)" text-anchor="middle">'
        "seconds of audio for each second of processor time</text>",
        *_ticks(most_wrong, most_speed),
    ]
    label_y = float(TOP)
    for one in sorted(measured, key=lambda one: -one.speed):
        x = LEFT + (right - LEFT) * one.all_words.percent / most_wrong
        y = low - (low - TOP) * one.speed / most_speed
        label_y = max(y, label_y + LINE)  # Labels are in a column of their own, so that none covers another.
        colour = COLOURS[programs.index(_program(one)) % len(COLOURS)]
        parts.append(
            f'<path d="M{x:.1f} {y:.1f}L{right + 6} {label_y:.1f}" stroke="{colour}" stroke-opacity="0.3"/>'
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="{colour}"/>'
            f'<text x="{right + 10}" y="{label_y + 4:.1f}" fill="{colour}">{escape(one.name)}</text>'
        )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif"'
        f' font-size="12"><rect width="100%" height="100%" fill="white"/>{"".join(parts)}</svg>\n'
    )


def _program(one: Measured) -> str:
    return one.name.partition(",")[0]


def _ticks(most_wrong: float, most_speed: float) -> list[str]:
    right, low = WIDTH - RIGHT, HEIGHT - BOTTOM
    found = []
    for n in range(6):
        x, y = LEFT + (right - LEFT) * n / 5, low - (low - TOP) * n / 5
        found.append(f'<text x="{x:.1f}" y="{low + 16}" text-anchor="middle">{most_wrong * n / 5:.1f}</text>')
        found.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{most_speed * n / 5:.1f}</text>')
    return found
