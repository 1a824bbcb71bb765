"""Which files have stopped growing. Pure.

The time of the last change alone is not enough: the clock of a network share may be wrong, and a copy may keep the
time of its original. A file has settled when its size and time have been the same for a while by this machine's clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["Settling", "Stamp"]


@dataclass(frozen=True, slots=True)
class Stamp:
    """The size of a file and the time of its last change."""

    size_bytes: int
    mtime_ns: int


class Settling:
    """`settle_s`: how long a file must stay the same, in seconds."""

    def __init__(self, settle_s: float) -> None:
        self._settle_s = settle_s
        self._since: dict[str, tuple[Stamp, float]] = {}

    def settled(self, files: Mapping[str, Stamp], now_s: float) -> list[str]:
        """Take the files as they are at a (monotonic) time; returns those that have settled, in order."""
        self._since = {name: self._unchanged_since(name, stamp, now_s) for name, stamp in files.items()}
        return sorted(name for name, (_, since_s) in self._since.items() if now_s - since_s >= self._settle_s)

    def _unchanged_since(self, name: str, stamp: Stamp, now_s: float) -> tuple[Stamp, float]:
        known = self._since.get(name)
        return known if known is not None and known[0] == stamp else (stamp, now_s)
