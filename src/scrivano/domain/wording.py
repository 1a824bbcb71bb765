"""Words of messages: numbers of things, and names that were meant."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches

__all__ = ["counted", "did_you_mean"]


def counted(count: int, noun: str) -> str:
    """`1 job`, `2 jobs`, `2 deliveries`, `2 batches`. `noun`: in the singular."""
    if count == 1:
        return f"1 {noun}"
    if re.search("[^aeiou]y$", noun):
        return f"{count} {noun[:-1]}ies"
    return f"{count} {noun}{'es' if noun.endswith(('x', 's', 'ch', 'sh')) else 's'}"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """For behind a message about an unknown name: the known ones that are spelled like it, or nothing."""
    by_lower = {one.lower(): one for one in known}
    found = [by_lower[one] for one in get_close_matches(name.lower(), by_lower, n=3)]
    return f"; did you mean {' or '.join(found)}?" if found else ""
