"""The figures of an evaluation as tables for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from scrivano.cli.console import print_table
from scrivano.evaluation.differences import Compared
from scrivano.evaluation.figures import Figures, by_language, figures
from scrivano.evaluation.page import percent, spread, verdict
from scrivano.evaluation.results import Result
from scrivano.evaluation.scoring import Score

__all__ = ["print_tables"]


def print_tables(
    console: Console, results: Sequence[Result], scores: Sequence[Mapping[str, Score]], compared: Compared
) -> None:
    _print_errors(console, results, scores)
    _print_times(console, results, scores)
    for a, b, found in compared:
        table = _table(f"{b}, compared with {a}", ("language",), ("points",))
        for head in (f"only {a} right", f"only {b} right"):
            table.add_column(escape(head), justify="right")
        table.add_column("verdict")
        for language, one in found.items():
            points = f"{100 * one.comparison.difference:+.2f}"
            table.add_row(language, points, str(one.only_a), str(one.only_b), escape(verdict(one, a, b)))
        if found:
            unit = next(iter(found.values())).unit
            table.caption = f"paired bootstrap over {unit}; 95 % confidence"
        print_table(table, console)


def _table(title: str, texts: Sequence[str], figures: Sequence[str]) -> Table:
    """`texts` may be broken into lines on a narrow terminal; `figures` stay whole."""
    table = Table(title=escape(title), title_justify="left")
    for head in texts:
        table.add_column(head)
    for head in figures:
        table.add_column(head, justify="right", no_wrap=True)
    return table


def _print_errors(console: Console, results: Sequence[Result], scores: Sequence[Mapping[str, Score]]) -> None:
    heads = ("WER", "CER", "subst.", "del.", "ins.", "coverage", "holes", "RTFx")
    table = _table("Errors, after Whisper's normalizers", ("system", "language", "files"), heads)
    for result, of in zip(results, scores, strict=True):
        found = by_language(list(of.values()))
        for language, one in found.items() if len(found) > 1 else ():
            table.add_row(escape(result.name), language, *_cells(one), "")
        [only] = found if len(found) == 1 else ["all"]
        cells = _cells(figures(list(of.values())))
        table.add_row(escape(result.name), only, *cells, f"{result.rtfx:.1f}", end_section=True)
    print_table(table, console)


def _cells(found: Figures) -> list[str]:
    files = f"{found.recordings}" + (f" ({found.failed} failed)" if found.failed else "")
    counts = [str(count) for count in (found.counts.substituted, found.counts.deleted, found.counts.inserted)]
    return [files, percent(found.wer), percent(found.cer), *counts, percent(found.coverage), str(found.holes)]


def _print_times(console: Console, results: Sequence[Result], scores: Sequence[Mapping[str, Score]]) -> None:
    found = [(result.name, figures(list(of.values())).times) for result, of in zip(results, scores, strict=True)]
    kinds = list(dict.fromkeys(kind for _, times in found for kind in times))
    if not kinds:
        return
    heads = [kind.replace("_", " ") for kind in kinds]
    table = _table("Errors of times, in ms: median / 95th percentile", ("system",), heads)
    for name, times in found:
        table.add_row(escape(name), *(spread(times.get(kind)) for kind in kinds))
    print_table(table, console)
