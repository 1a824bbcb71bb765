"""Files that end in the middle of something."""

from __future__ import annotations

import io

import pytest

from scrivano.media.truncation import is_cut_off


def page(flags: int, body: bytes = b"x" * 300) -> bytes:
    lacing = [255] * (len(body) // 255) + [len(body) % 255]
    return b"OggS\0" + bytes([flags]) + bytes(20) + bytes([len(lacing)]) + bytes(lacing) + body


def packets(length: int, at: int, count: int = 9) -> bytes:
    return (bytes(at) + b"\x47" + b"\xff" * (length - at - 1)) * count


def box(kind: bytes, size: int = 100, claimed: int | None = None) -> bytes:
    return (8 + (size if claimed is None else claimed)).to_bytes(4, "big") + kind + bytes(size)


MP4 = box(b"ftyp") + box(b"moov") + box(b"mdat", 1000)
OGG = page(2) + page(0) * 3 + page(4)
WHOLE = [
    OGG,
    page(2) + page(4) + OGG,
    b"ID3" + OGG,
    packets(188, 0),
    packets(192, 4),
    packets(204, 0),
    MP4,
    MP4 + b"no box: the end of a tag",
    MP4[:-1008] + bytes(4) + b"mdat" + bytes(50),
    b"RIFF" + bytes(4) + b"AVI ",
    b"RIFF",
    b"",
]
CUT = [OGG[:-1], OGG[:-330], OGG[: -len(page(4))], page(2)[:20], packets(188, 0)[:-7], packets(192, 4)[:-3], MP4[:-1]]


@pytest.mark.parametrize("data", WHOLE)
def test_whole_files(data: bytes) -> None:
    start = 3 if data.startswith(b"ID3") else 0
    assert not is_cut_off(io.BytesIO(data), start, len(data))


@pytest.mark.parametrize("data", CUT)
def test_cut_files(data: bytes) -> None:
    assert is_cut_off(io.BytesIO(data), 0, len(data))
