"""Parse a stream of Server-Sent Events as the HTML standard specifies. Pure.

httpx2 has a parser, too, but it hides comments. A reader with a deadline needs them: they arrive when no event does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

__all__ = ["Frame", "frames", "lines"]


@dataclass(frozen=True, slots=True)
class Frame:
    """`id`: the last id in the stream so far, which a client sends as `Last-Event-ID` when it reconnects."""

    event: str
    data: str
    id: str


def frames(stream: Iterable[bytes]) -> Iterator[Frame]:
    """Yield each event with data as soon as its blank line arrives. An incomplete event at the end is dropped."""
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
    """Yield complete lines, which end with CR, LF or CRLF. `stream` may be cut into pieces anywhere."""
    incomplete: list[bytes] = []
    after_cr = False
    for piece in stream:
        if not piece:
            continue
        first, *rest = _LINE_END.split(piece.removeprefix(b"\n") if after_cr else piece)
        after_cr = piece.endswith(b"\r")
        incomplete.append(first)
        for part in rest:
            yield b"".join(incomplete).decode(errors="replace").removeprefix(_BOM)
            incomplete = [part]


_LINE_END = re.compile(rb"\r\n|\r|\n")
_BOM = "\ufeff"
