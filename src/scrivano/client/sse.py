"""Bytes of a server-sent event stream → its events, by the rules of the HTML standard. Pure.

httpx2 has a parser, too, but it is silent about comments, and a reader that has a deadline must notice those.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

__all__ = ["Frame", "frames", "lines"]


@dataclass(frozen=True, slots=True)
class Frame:
    """`id` is the last one that the stream named, here or before; it is what `Last-Event-ID` repeats."""

    event: str
    data: str
    id: str


def frames(stream: Iterable[bytes]) -> Iterator[Frame]:
    """Events with data, each as soon as the blank line after it is there; one that breaks off is left out."""
    event, data, last_id = "", [], ""
    for line in lines(stream):
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            data.append(value)
        elif name == "event":
            event = value
        elif name == "id" and "\0" not in value:
            last_id = value
        elif not line:
            if data:
                yield Frame(event or "message", "\n".join(data), last_id)
            event, data = "", []


def lines(stream: Iterable[bytes]) -> Iterator[str]:
    """Complete lines, which end with CR, LF or both, wherever the stream is cut into pieces."""
    begun: list[bytes] = []
    after_cr = False
    for piece in stream:
        if not piece:
            continue
        first, *rest = _LINE_END.split(piece.removeprefix(b"\n") if after_cr else piece)
        after_cr = piece.endswith(b"\r")
        begun.append(first)
        for part in rest:
            yield b"".join(begun).decode(errors="replace").removeprefix(_BOM)
            begun = [part]


_LINE_END = re.compile(rb"\r\n|\r|\n")
_BOM = "\ufeff"
