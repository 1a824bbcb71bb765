"""Whether a file was cut off, where FFmpeg does not tell. Pure, but for reading the bytes it is given."""

from __future__ import annotations

from collections import deque
from typing import BinaryIO

from scrivano.media.joined import boxes
from scrivano.media.signatures import ISO_BOXES, LONG_PLACEHOLDER, PLACEHOLDER, W64_RIFF

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
# Boxes that an ISO file may end with. What else its last bytes look like is not a box.
LAST_BOXES = (*ISO_BOXES, b"free", b"skip", b"sidx", b"mfra", b"udta", b"uuid")
# ASF: the header, and in it the properties of the file, with its size and a mark of live streams.
ASF = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
ASF_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
ASF_HEAD_BYTES = 1 << 16
LIVE = 0x01
# Chunks of a CAF file are looked through for its samples.
MAX_CHUNKS = 1000


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
    if head[4:8] in ISO_BOXES:
        last = deque(boxes(file, start, size), maxlen=1)
        return any(kind in LAST_BOXES and end > size for kind, _, end in last)
    end = _announced_end(file, start, head)
    if end is not None:
        return end > size
    length = next((length for length, at in PACKETS if _has_sync(head, length, at)), None)
    return length is not None and (size - start) % length != 0


def _announced_end(file: BinaryIO, start: int, head: bytes) -> int | None:
    """Where an AVI, Wave64, CAF or ASF file ends, as its head says; None: it does not say, or it is another file."""
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        length = int.from_bytes(head[4:8], "little")
        return start + 8 + length if length < PLACEHOLDER else None
    if head[:16] == W64_RIFF:
        length = int.from_bytes(head[16:24], "little")
        return start + length if length < LONG_PLACEHOLDER else None
    if head[:4] == b"caff":
        return _end_of_caf(file, start + 8)
    if head[:16] == ASF:
        file.seek(start)
        data = file.read(ASF_HEAD_BYTES)
        at = data.find(ASF_PROPERTIES)
        live = at < 0 or data[at + 88 : at + 89] == b"" or data[at + 88] & LIVE
        return None if live else start + int.from_bytes(data[at + 40 : at + 48], "little")
    return None


def _end_of_caf(file: BinaryIO, at: int) -> int | None:
    """The end of the samples of a CAF file whose first chunk is here; None: they go on to the end of the file."""
    for _ in range(MAX_CHUNKS):
        file.seek(at)
        head = file.read(12)
        length = int.from_bytes(head[4:], "big", signed=True)
        if len(head) < 12 or length < 0:
            return None
        at += 12 + length
        if head[:4] == b"data":
            return at
    return None


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
