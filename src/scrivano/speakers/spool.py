"""A file with the voices of every chunk of a job: from the server, which has them in its store, to the speakers child.

Voices of ten hours are 13 MB: through a pipe, the server would have to wait until the child has read them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

__all__ = ["read_spool", "write_spool"]

_LENGTH_BYTES = 4


def write_spool(path: Path, voices: Iterable[bytes]) -> None:
    with path.open("wb") as file:
        for one in voices:
            file.write(len(one).to_bytes(_LENGTH_BYTES, "little") + one)


def read_spool(path: Path) -> Iterator[bytes]:
    """In the order in which they were written."""
    with path.open("rb") as file:
        while length := file.read(_LENGTH_BYTES):
            yield file.read(int.from_bytes(length, "little"))
