"""The names of files as text. On most systems a file's name is bytes, which need not be UTF-8."""

from __future__ import annotations

import re

__all__ = ["valid_name"]

_SURROGATE = re.compile("[\ud800-\udfff]")


def valid_name(name: str) -> str:
    """A name that can be encoded: Python has a surrogate for each byte that is not UTF-8, `�` takes its place.

    It is for people and servers; only the name as it was finds the file.
    """
    return _SURROGATE.sub("\ufffd", name)
