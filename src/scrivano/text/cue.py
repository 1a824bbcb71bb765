"""A cue of a subtitle file, and what its text and times may be. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Cue", "milliseconds", "printable", "spaced", "width"]

_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1b\x7f]")


@dataclass(frozen=True, slots=True)
class Cue:
    """Text shown from `start_ms` until `end_ms`: one or more lines, none blank, without control characters.

    `speaker`: who says it, if that is known.
    """

    start_ms: int
    end_ms: int
    text: str
    speaker: str | None = None


def spaced(times: Sequence[tuple[int, int]], limit_ms: int | None) -> list[tuple[int, int]]:
    """Starts and ends of cues, so that none overlaps the next and each lasts a millisecond or more, as WebVTT requires.

    None ends after `limit_ms`, the end of the file, unless there are more cues than milliseconds; None: it is unknown.
    """
    starts: list[int] = []
    for start, _ in times:
        starts.append(max(start, starts[-1] + 1 if starts else 0))
    if limit_ms is not None:
        limit_ms = max(limit_ms, len(times))
        starts = [min(start, limit_ms - left) for start, left in zip(starts, range(len(starts), 0, -1), strict=True)]
    latest = [*starts[1:], limit_ms]
    ends = [max(end, start + 1) for start, (_, end) in zip(starts, times, strict=True)]
    return [
        (start, end if most is None else min(end, most))
        for start, end, most in zip(starts, ends, latest[: len(starts)], strict=True)
    ]


def milliseconds(seconds: float) -> int:
    """The nearest whole millisecond, at least 0. A time that was written with three decimals gives exactly these.

    Half a millisecond, if a float can be exactly that, is rounded to the even neighbour.
    """
    return max(0, round(seconds * 1000))


def printable(text: str) -> str:
    """The text without control characters, but with its white space: some players stop reading at a NUL."""
    return _CONTROL.sub("", text)


def width(text: str) -> int:
    """Characters as readers count them: 2 for a wide character (Chinese), 0 for a mark above another character."""
    return len(text) if text.isascii() else sum(_char_width(char) for char in text)


def _char_width(char: str) -> int:
    if unicodedata.category(char) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1
