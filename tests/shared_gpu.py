"""A server whose GPU others use, too: the reader of its memory and its engine are scripted."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from served import Served, start

SCRIPT = Path(__file__).parent / "children" / "server.py"


@contextmanager
def scripted(
    folder: Path, *, free_mb: int, settings: Mapping[str, str] | None = None, **orders: object
) -> Iterator[tuple[Served, Path]]:
    memory = folder / "free_mb"
    leave_free(memory, free_mb)
    command = [sys.executable, str(SCRIPT), str(folder / "data"), str(memory), json.dumps(orders)]
    server = Served(start(folder / "data", command, **(settings or {})))
    try:
        yield server, memory
    finally:
        server.close()


def leave_free(memory: Path, free_mb: int) -> None:
    """Whole, however the server's reading of it falls."""
    fresh = memory.with_suffix(".new")
    fresh.write_text(str(free_mb))
    fresh.replace(memory)
