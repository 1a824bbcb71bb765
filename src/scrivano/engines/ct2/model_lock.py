"""A lock between threads that use a model, urgent ones first, and a thread that replaces it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition


class ModelLock:
    """A lock with shared and exclusive holders; no thread may take it twice.

    Shared: at most `places` holders. Urgent ones do not count the places, so they never wait for others that share; the
    others wait until the urgent ones leave a place. Reserved: a place that urgent work keeps between its uses of it.
    Exclusive: one holder, and no other. It comes before all that ask after it, urgent ones too: else a constant stream
    of searches would keep the model from being replaced.
    """

    def __init__(self, places: int) -> None:
        self._places = places
        self._changed = Condition()
        self._sharing = dict.fromkeys((False, True), 0)
        self._reservations = 0
        self._exclusive = False

    @contextmanager
    def shared(self, *, urgent: bool = False) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: not self._exclusive and (urgent or self._has_place))
            self._sharing[urgent] += 1
        try:
            yield
        finally:
            with self._changed:
                self._sharing[urgent] -= 1
                self._changed.notify_all()

    @contextmanager
    def reserved(self) -> Iterator[None]:
        """Keep a place for urgent work."""
        with self._changed:
            self._reservations += 1
        try:
            yield
        finally:
            with self._changed:
                self._reservations -= 1
                self._changed.notify_all()

    @property
    def _has_place(self) -> bool:
        return self._sharing[False] + max(self._sharing[True], self._reservations) < self._places

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: not self._exclusive)
            # First announced, so that no new holder may share, then waited for those that do.
            self._exclusive = True
            self._changed.wait_for(lambda: not any(self._sharing.values()))
        try:
            yield
        finally:
            with self._changed:
                self._exclusive = False
                self._changed.notify_all()
