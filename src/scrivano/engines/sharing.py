"""A thing that many threads use at once, and one at a time replaces."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition


class Sharing:
    """Who wants it alone goes before those who come later. Neither may be entered twice by one thread."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._users = 0
        self._taken = False

    @contextmanager
    def use(self) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: not self._taken)
            self._users += 1
        try:
            yield
        finally:
            with self._changed:
                self._users -= 1
                self._changed.notify_all()

    @contextmanager
    def alone(self) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: not self._taken)
            self._taken = True
            self._changed.wait_for(lambda: not self._users)
        try:
            yield
        finally:
            with self._changed:
                self._taken = False
                self._changed.notify_all()
