"""Where sentences and clauses end. Pure."""

from __future__ import annotations

import re

__all__ = ["ends_clause", "ends_sentence"]

# Closing quotes and brackets may follow the mark that ends a sentence.
_CLOSERS = r"[\"'\u201d\u2019)\u00bb\]\u300d\u300f\uff09]*\s*$"
_SENTENCE_END = re.compile(r"[.!?\u2026\u3002\uff01\uff1f]" + _CLOSERS)
_CLAUSE_END = re.compile(r"[,;:\u2013\u2014\u060c\u061b\u3001\uff0c\uff1b\uff1a]" + _CLOSERS)


def ends_sentence(text: str) -> bool:
    return _SENTENCE_END.search(text) is not None


def ends_clause(text: str) -> bool:
    """Whether the text ends with a comma, a colon, a dash or the like, which is not the end of a sentence."""
    return _CLAUSE_END.search(text) is not None
