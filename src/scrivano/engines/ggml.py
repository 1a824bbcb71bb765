"""Checks that a file is a complete GGML model. whisper.cpp does not: with a broken one it writes garbage or crashes.

The layout is that of whisper.cpp's `convert-pt-to-ggml.py`.
"""

from __future__ import annotations

import math
import os
import platform
import struct
import sys
from pathlib import Path
from typing import BinaryIO

from scrivano.domain.errors import ModelUnavailable

__all__ = ["check_ggml", "how_to_install"]

# 0x67676d6c, little-endian.
MAGIC = b"lmgg"

GGUF_MAGIC = b"GGUF"

HYPERPARAMETERS = 11

# By tensor type (`ggml_type`: f32, f16, q4_0, q4_1, q5_0, q5_1, q8_0, q2_K to q6_K, bf16): how many numbers a block
# has, and how many bytes.
BLOCKS = {
    0: (1, 4),
    1: (1, 2),
    2: (32, 18),
    3: (32, 20),
    6: (32, 22),
    7: (32, 24),
    8: (32, 34),
    10: (256, 84),
    11: (256, 110),
    12: (256, 144),
    13: (256, 176),
    14: (256, 210),
    30: (1, 2),
}

MAX_DIMENSIONS = 4


class _Broken(Exception):
    """The file ends early, or has impossible values."""


def how_to_install(system: str = sys.platform, machine: str | None = None) -> str:
    """How to get whisper.cpp, for behind a message that it is missing."""
    if system == "darwin" and (machine or platform.machine()) != "arm64":
        return "there is no package of it for Macs with Intel processors, so use a model of CTranslate2"
    return "pip install 'scrivano[whispercpp]'"


def check_ggml(path: Path) -> None:
    """Check the file's structure, tensor by tensor, without reading the weights. Raises `ModelUnavailable`."""
    try:
        with path.open("rb") as file:
            magic = file.read(4)
            if magic == MAGIC:
                _walk(file, os.fstat(file.fileno()).st_size)
    except OSError as error:
        raise ModelUnavailable(f"{path} cannot be read: {error.strerror}; check WHISPER_MODEL_PATH") from error
    except _Broken as error:
        raise ModelUnavailable(f"{path} is not a whole GGML model ({error}); download it again") from error
    if magic == GGUF_MAGIC:
        raise ModelUnavailable(
            f"{path} is a GGUF file, which whisper.cpp does not read; download the model as GGML (ggml-*.bin)"
        )
    if magic != MAGIC:
        raise ModelUnavailable(
            f"{path} is not a GGML model of whisper.cpp; "
            "WHISPER_MODEL_PATH may also be a folder with a CTranslate2 model"
        )


def _walk(file: BinaryIO, size: int) -> None:
    _integers(file, HYPERPARAMETERS)
    mels, bins = _integers(file, 2)
    _skip(file, 4 * mels * bins, size)
    (tokens,) = _integers(file, 1)
    for _ in range(tokens):
        (length,) = _integers(file, 1)
        _skip(file, length, size)
    if file.tell() == size:
        raise _Broken("it has no tensors")
    while file.tell() < size:
        _skip_tensor(file, size)


def _skip_tensor(file: BinaryIO, size: int) -> None:
    dimensions, name_length, kind = _integers(file, 3)
    if not 0 < dimensions <= MAX_DIMENSIONS or kind not in BLOCKS:
        raise _Broken("a tensor of an unknown kind")
    numbers = math.prod(_integers(file, dimensions))
    block, block_bytes = BLOCKS[kind]
    _skip(file, name_length + numbers // block * block_bytes, size)


def _integers(file: BinaryIO, count: int) -> tuple[int, ...]:
    data = file.read(4 * count)
    if len(data) < 4 * count:
        raise _Broken("it ends early")
    return struct.unpack(f"<{count}i", data)


def _skip(file: BinaryIO, length: int, size: int) -> None:
    if length < 0 or file.tell() + length > size:
        raise _Broken("it ends early")
    file.seek(length, os.SEEK_CUR)
