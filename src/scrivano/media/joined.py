"""Where the recordings begin in a file that several were joined to, as `cat` does. Pure, but for reading the bytes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from scrivano.media import ogg
from scrivano.media.signatures import ISO_BOXES

__all__ = ["boxes", "recordings"]

# So many joined files are read one by one.
MAX_FILES = 10_000
# So many boxes of an ISO file (MP4) are looked at; fragmented files have two for each fragment.
MAX_BOXES = 200_000
# The decode time is near the start of a fragment.
FRAGMENT_BYTES = 4096
# So many tags of a FLV file are looked at: four hours of sound and pictures.
MAX_TAGS = 1_000_000
FLV = b"FLV\1"
FORMS = ((b"RIFF", b"WAVE"), (b"FORM", b"AIFF"), (b"FORM", b"AIFC"))


def recordings(file: BinaryIO, start: int, size: int) -> list[tuple[int, int]]:
    """The byte ranges of the recordings in Ogg, WAV, AIFF, MP4 and FLV files, in order. Others are one range."""
    file.seek(start)
    head = file.read(8)
    if head[:4] == b"OggS":
        return ogg.links(file, start, size)
    if head[4:8] in ISO_BOXES:
        starts = _movies(file, start, size)
    else:
        starts = _streams(file, start) if head[:4] == FLV else _forms(file, start)
    return list(zip(starts, [*starts[1:], size], strict=True))


def boxes(file: BinaryIO, start: int, size: int) -> Iterator[tuple[bytes, int, int]]:
    """Type, start and end of each box at the top of an ISO file. The last one may end behind the file."""
    for _ in range(MAX_BOXES):
        file.seek(start)
        head = file.read(16)
        if len(head) < 8:
            return
        length = int.from_bytes(head[:4], "big")
        if length == 1:
            length = int.from_bytes(head[8:16], "big")
        end = start + length if length else size
        if end < start + 8:
            return
        yield head[4:8], start, end
        start = end


def _movies(file: BinaryIO, start: int, size: int) -> list[int]:
    """A recording begins with a file type box behind sound, unless its fragments go on with the time before."""
    starts = [start]
    begin, filled = None, False
    for kind, at, _ in boxes(file, start, size):
        if kind == b"ftyp" and filled:
            begin, filled = at, False
        elif kind in (b"moof", b"mdat"):
            if begin is not None and len(starts) < MAX_FILES and (kind == b"mdat" or _starts_anew(file, at)):
                starts.append(begin)
            begin, filled = None, True
    return starts


def _starts_anew(file: BinaryIO, fragment: int) -> bool:
    """Whether a fragment's decode time is 0, or unknown."""
    file.seek(fragment)
    data = file.read(FRAGMENT_BYTES)
    at = data.find(b"tfdt")
    return at < 0 or not any(data[at + 8 : at + (16 if data[at + 4 : at + 5] == b"\1" else 12)])


def _streams(file: BinaryIO, start: int) -> list[int]:
    """FLV: a head of 9 bytes, then 4 bytes and a tag by turns."""
    starts = [start]
    at = start + 13
    for _ in range(MAX_TAGS):
        file.seek(at)
        head = file.read(4)
        if len(head) < 4:
            break
        if head == FLV and len(starts) < MAX_FILES:
            starts.append(at)
            at += 13
        else:
            at += 15 + int.from_bytes(head[1:], "big")
    return starts


def _forms(file: BinaryIO, start: int) -> list[int]:
    starts = [start]
    while len(starts) < MAX_FILES:
        file.seek(start)
        head = file.read(12)
        end = start + 8 + int.from_bytes(head[4:8], "little" if head[:4] == b"RIFF" else "big")
        file.seek(end)
        after = file.read(12)
        if not _is_form(head) or not _is_form(after) or end <= start + 12:
            break
        starts.append(end)
        start = end
    return starts


def _is_form(head: bytes) -> bool:
    return (head[:4], head[8:12]) in FORMS
