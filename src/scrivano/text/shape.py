"""The limits that readable subtitles keep, and the breaches of them. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from scrivano.domain.errors import BadRequest
from scrivano.text.cue import Cue, milliseconds, width

__all__ = ["PROFILES", "Breach", "Shape", "breaches", "shape_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """Limits of subtitles. `max_line_chars` counts characters as `width` does."""

    max_line_chars: int = 42
    max_lines: int = 2
    max_cue_secs: float = 7.0
    min_cue_secs: float = 1.0
    max_chars_per_sec: float = 17.0

    @property
    def max_cue_ms(self) -> int:
        return milliseconds(self.max_cue_secs)

    @property
    def min_cue_ms(self) -> int:
        return milliseconds(self.min_cue_secs)

    def reading_ms(self, chars: int) -> int:
        """How long it takes to read this many characters."""
        return math.ceil(chars * 1000 / self.max_chars_per_sec)


# docs/formats.md names the sources, and the numbers that are our own choice.
PROFILES: Mapping[str, Shape] = {
    "netflix": Shape(min_cue_secs=5 / 6),
    "bbc": Shape(max_line_chars=37, max_chars_per_sec=18.0),
    "youtube": Shape(max_line_chars=32, max_chars_per_sec=20.0),
}


@dataclass(frozen=True, slots=True)
class Breach:
    """A cue that exceeds a limit: `cue` counts from 1, `rule` is the name of the limit in `Shape`."""

    cue: int
    rule: str
    value: float
    limit: float


def shape_of(profile: str | None, limits: Mapping[str, float | None]) -> Shape:
    """The shape of a profile with other `limits`; None keeps the limit of the profile. Raises `BadRequest`."""
    if profile is not None and profile not in PROFILES:
        raise BadRequest(f"profile must be one of {', '.join(PROFILES)}")
    given: Mapping[str, float] = {name: limit for name, limit in limits.items() if limit is not None}
    shape = replace(PROFILES.get(profile or "", Shape()), **given)  # type: ignore[arg-type]
    if shape.min_cue_secs > shape.max_cue_secs:
        raise BadRequest("min_cue_secs must not be more than max_cue_secs")
    return shape


def breaches(cues: Iterable[Cue], shape: Shape) -> list[Breach]:
    """All breaches, in the order of the cues."""
    return [breach for number, cue in enumerate(cues, 1) for breach in _breaches(number, cue, shape)]


def _breaches(number: int, cue: Cue, shape: Shape) -> Iterator[Breach]:
    """Compares whole milliseconds. A value above its limit is rounded up, so that it never looks equal to the limit."""
    lines = cue.text.split("\n")
    duration_ms = cue.end_ms - cue.start_ms
    longest, chars = max(map(width, lines)), sum(map(width, lines))
    if longest > shape.max_line_chars:
        yield Breach(number, "max_line_chars", longest, shape.max_line_chars)
    if len(lines) > shape.max_lines:
        yield Breach(number, "max_lines", len(lines), shape.max_lines)
    if duration_ms > shape.max_cue_ms:
        yield Breach(number, "max_cue_secs", duration_ms / 1000, shape.max_cue_secs)
    if duration_ms < shape.min_cue_ms:
        yield Breach(number, "min_cue_secs", duration_ms / 1000, shape.min_cue_secs)
    if duration_ms < shape.reading_ms(chars):
        yield Breach(
            number, "max_chars_per_sec", math.ceil(chars * 100_000 / duration_ms) / 100, shape.max_chars_per_sec
        )
