"""A lock between threads that use a model, urgent ones first, and a thread that replaces it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition


class ModelLock:
    """A lock with shared and exclusive holders; no thread may take it twice.

    Shared: at most `places` holders. Urgent ones do not count the places, so they never wait for others that share; the
    others wait until the urgent ones leave a place. Exclusive: one holder, and no other. It comes before all that ask
    after it, urgent ones too: else a constant stream of searches would keep the model from being replaced.
    """

    def __init__(self, places: int) -> None:
        self._places = places
        self._changed = Condition()
        self._sharing = 0
        self._exclusive = False

    @contextmanager
    def shared(self, *, urgent: bool = False) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: not self._exclusive and (urgent or self._sharing < self._places))
            self._sharing += 1
        try:
            yield
        finally:
            with self._changed:
                self._sharing -= 1
                self._changed.notify_all()

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: not self._exclusive)
            # First reserved, so that no new holder may share, then waited for those that do.
            self._exclusive = True
            self._changed.wait_for(lambda: not self._sharing)
        try:
            yield
        finally:
            with self._changed:
                self._exclusive = False
                self._changed.notify_all()
