"""The links of a chained Ogg file: recordings of internet radio are many streams, one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

__all__ = ["links"]

# RFC 3533, section 6: the page header.
CAPTURE = b"OggS"
HEADER_BYTES = 27
BEGINS = 0x02
# A search for the next page after damage reads so much at once.
SEARCH_BYTES = 1 << 16
# So many links are read one by one; what follows belongs to the last.
MAX_LINKS = 10_000


def links(file: BinaryIO, start: int, size: int) -> list[tuple[int, int]]:
    """The byte ranges of the links, in order, from `start` on. A file that is not chained has one."""
    starts = [start]
    beginning = True
    for offset, begins in _pages(file, start, size):
        if begins and not beginning and len(starts) < MAX_LINKS:
            starts.append(offset)
        beginning = begins
    return list(zip(starts, [*starts[1:], size], strict=True))


def _pages(file: BinaryIO, offset: int, size: int) -> Iterator[tuple[int, bool]]:
    """Each page's offset, and whether it begins a logical stream."""
    while offset + HEADER_BYTES <= size:
        file.seek(offset)
        head = file.read(HEADER_BYTES + 255)
        if head[:4] != CAPTURE or len(head) < HEADER_BYTES:
            offset = _next_page(file, offset + 1, size)
            continue
        segments = head[26]
        end = offset + HEADER_BYTES + segments + sum(head[HEADER_BYTES : HEADER_BYTES + segments])
        yield offset, bool(head[5] & BEGINS)
        # A page that was cut off has the start of the next one inside.
        offset = end if end >= size or _is_page(file, end) else _next_page(file, offset + 1, size)


def _is_page(file: BinaryIO, offset: int) -> bool:
    file.seek(offset)
    return file.read(len(CAPTURE)) == CAPTURE


def _next_page(file: BinaryIO, offset: int, size: int) -> int:
    while offset < size:
        file.seek(offset)
        data = file.read(SEARCH_BYTES)
        found = data.find(CAPTURE)
        if found >= 0:
            return offset + found
        offset += max(1, len(data) - len(CAPTURE) + 1)
    return size
