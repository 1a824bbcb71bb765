"""Whether a file was cut off, where its head does not say its length. Pure, but for reading the bytes it is given."""

from __future__ import annotations

from typing import BinaryIO

__all__ = ["is_cut_off"]

# Ogg, RFC 3533: a page has at most 65 307 bytes, and the last one of a stream is marked.
CAPTURE = b"OggS"
MAX_PAGE_BYTES = 65_307
HEADER_BYTES = 27
ENDS = 0x04
# MPEG transport streams: the length of a packet, with what some recorders put before or behind it, and where in it the
# sync byte is.
SYNC = 0x47
PACKETS = ((188, 0), (192, 4), (204, 0))


def is_cut_off(file: BinaryIO, start: int, size: int) -> bool:
    """Whether the file ends in the middle of something, or without the mark of an end. Other formats: False.

    `start`: where the recording begins; `size`: of the file.
    """
    file.seek(start)
    head = file.read(4 * max(length for length, _ in PACKETS))
    if head[:4] == CAPTURE:
        tail_at = max(start, size - 2 * MAX_PAGE_BYTES)
        file.seek(tail_at)
        return _lacks_its_end(file.read(size - tail_at))
    length = next((length for length, at in PACKETS if _has_sync(head, length, at)), None)
    return length is not None and (size - start) % length != 0


def _has_sync(head: bytes, length: int, at: int) -> bool:
    places = range(at, len(head), length)
    return len(places) > 2 and all(head[place] == SYNC for place in places)


def _lacks_its_end(tail: bytes) -> bool:
    """Whether the last Ogg page is incomplete, or not marked as the last one."""
    page = tail[tail.rfind(CAPTURE) :]
    if len(page) < HEADER_BYTES:
        return True
    segments = page[HEADER_BYTES : HEADER_BYTES + page[HEADER_BYTES - 1]]
    length = HEADER_BYTES + page[HEADER_BYTES - 1] + sum(segments)
    return len(page) < length or not page[5] & ENDS
