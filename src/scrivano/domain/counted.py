"""Numbers of things in messages."""

from __future__ import annotations

import re

__all__ = ["counted"]


def counted(count: int, noun: str) -> str:
    """`1 job`, `2 jobs`, `2 deliveries`, `2 batches`. `noun`: in the singular."""
    if count == 1:
        return f"1 {noun}"
    if re.search("[^aeiou]y$", noun):
        return f"{count} {noun[:-1]}ies"
    return f"{count} {noun}{'es' if noun.endswith(('x', 's', 'ch', 'sh')) else 's'}"
