"""A cue of a subtitle file, and what its text and times may be. Pure."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

__all__ = ["Cue", "milliseconds", "printable", "width"]

_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1b\x7f]")


@dataclass(frozen=True, slots=True)
class Cue:
    """Text shown from `start_ms` until `end_ms`: one or more lines, none blank, without control characters."""

    start_ms: int
    end_ms: int
    text: str


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
