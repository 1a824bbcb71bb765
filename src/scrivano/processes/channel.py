"""A child's end: its requests come on stdin, its messages go to what was stdout, one JSON object a line.

What a library prints goes to stderr. When the server is gone, the process ends at once, whatever it is doing.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

__all__ = ["Channel"]

R = TypeVar("R")
M = TypeVar("M")

READ_BYTES = 65536


class Channel(Generic[R, M]):
    """Created once in a process: it takes stdout for itself. `send` is thread-safe.

    `parse` makes a request of a line, or raises `ValueError`; `encode` is the reverse for messages.
    """

    def __init__(self, parse: Callable[[bytes], R], encode: Callable[[M], bytes]) -> None:
        self.parse = parse
        self._encode = encode
        self._out = os.fdopen(os.dup(1), "wb")
        self._lock = threading.Lock()
        os.dup2(2, 1)

    def send(self, message: M) -> None:
        line = self._encode(message) + b"\n"
        try:
            with self._lock:
                self._out.write(line)
                self._out.flush()
        except OSError:  # nobody reads any more: the server is gone
            os._exit(1)

    def lines(self) -> Iterator[bytes]:
        """The lines of stdin until its end.

        Not read through `sys.stdin`: its lock, held by a waiting thread, would hang or abort the interpreter's end.
        """
        rest = b""
        while data := os.read(0, READ_BYTES):
            *lines, rest = (rest + data).split(b"\n")
            yield from lines

    def request(self) -> R | None:
        """The only request of a process that serves one; None: stdin ended before. Raises `ValueError`."""
        line = next(self.lines(), None)
        return None if line is None else self.parse(line)

    def exit_with_server(self) -> None:
        """From now on the end of stdin ends the process. For a process that reads no more requests."""
        threading.Thread(target=self._wait_for_end, daemon=True).start()

    def _wait_for_end(self) -> None:
        while os.read(0, READ_BYTES):
            pass
        os._exit(1)
