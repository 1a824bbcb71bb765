"""What a CTranslate2 model's file says of itself, without reading the weights: whether it is complete, and its width.

The layout is that of `ModelSpec._serialize` in CTranslate2's `specs/model_spec.py`.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

__all__ = ["encoder_width", "is_complete"]

# Other versions store other lengths; the library says what it cannot read.
KNOWN_VERSION = 6

# Its shape is (positions, width).
POSITIONS = "encoder/position_encodings/encodings"


class _EndsEarlyError(Exception):
    pass


def is_complete(path: Path) -> bool:
    """Whether no bytes are missing at the end of a `model.bin`; also True where its version is another one.

    Raises `OSError`.
    """
    try:
        with path.open("rb") as file:
            for _ in _variables(file):
                pass
    except _EndsEarlyError:
        return False
    return True


def encoder_width(path: Path) -> int | None:
    """Of the output of the encoder of a `model.bin`; None if the file does not say it."""
    try:
        with path.open("rb") as file:
            return next((shape[-1] for name, shape in _variables(file) if name == POSITIONS and shape), None)
    except (OSError, _EndsEarlyError):
        return None


def _variables(file: BinaryIO) -> Iterator[tuple[str, tuple[int, ...]]]:
    """The name and shape of each variable."""
    size = os.fstat(file.fileno()).st_size
    if _number(file, "I") != KNOWN_VERSION:
        return
    _skip(file, _number(file, "H"), size)  # the name of the specification
    _number(file, "I")  # its revision
    for _ in range(_number(file, "I")):
        name = file.read(_number(file, "H")).rstrip(b"\0").decode(errors="replace")
        shape = tuple(_number(file, "I") for _ in range(_number(file, "B")))
        _skip(file, 1, size)  # its type
        _skip(file, _number(file, "I"), size)
        yield name, shape


def _number(file: BinaryIO, format: str) -> int:
    layout = struct.Struct(f"<{format}")
    data = file.read(layout.size)
    if len(data) < layout.size:
        raise _EndsEarlyError
    return int(layout.unpack(data)[0])


def _skip(file: BinaryIO, length: int, size: int) -> None:
    if file.tell() + length > size:
        raise _EndsEarlyError
    file.seek(length, os.SEEK_CUR)
