"""A thing that threads use at once, the urgent ones before the others, and that one at a time replaces."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition


class Sharing:
    """At most `places` use it at once, but for urgent users, who never wait for others: those wait for them.

    Who wants it alone goes before all that come later. Nobody may enter twice.
    """

    def __init__(self, places: int) -> None:
        self._places = places
        self._changed = Condition()
        self._users = 0
        self._taken = False

    @contextmanager
    def use(self, *, urgent: bool = False) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: not self._taken and (urgent or self._users < self._places))
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
