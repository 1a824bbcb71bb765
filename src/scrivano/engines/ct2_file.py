"""Checks that a CTranslate2 model is complete, by its file's own lengths, without reading the weights.

The layout is that of `ModelSpec._serialize` in CTranslate2's `specs/model_spec.py`.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import BinaryIO

__all__ = ["is_complete"]

# Other versions store other lengths; the library says what it cannot read.
KNOWN_VERSION = 6


class _EndsEarlyError(Exception):
    pass


def is_complete(path: Path) -> bool:
    """Whether no bytes are missing at the end of a `model.bin`; also True where its version is another one.

    Raises `OSError`.
    """
    try:
        with path.open("rb") as file:
            _walk(file, os.fstat(file.fileno()).st_size)
    except _EndsEarlyError:
        return False
    return True


def _walk(file: BinaryIO, size: int) -> None:
    if _number(file, "I") != KNOWN_VERSION:
        return
    _skip(file, _number(file, "H"), size)  # the name of the specification
    _number(file, "I")  # its revision
    for _ in range(_number(file, "I")):
        _skip(file, _number(file, "H"), size)  # a variable's name
        _skip(file, 4 * _number(file, "B") + 1, size)  # its shape and type
        _skip(file, _number(file, "I"), size)


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
