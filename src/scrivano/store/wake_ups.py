"""Waking coroutines from threads: who waits for a job's news, or for the model's, is told that there is some."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

MODEL = "model"
DELIVERIES = "deliveries"

# How far back `Last-Event-ID` reaches on the model's stream.
KEPT_MODEL_EVENTS = 256


class WakeUps:
    """Threads call `fire`; coroutines of the attached loop `watch`.

    A signal carries nothing: whoever is woken reads the truth from the store, so a slow reader costs nothing
    and ten signals may become one. `stopping`: the server ends, and nobody should wait any longer.
    """

    def __init__(self) -> None:
        self.stopping = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._watchers: dict[str, set[asyncio.Event]] = {}

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def fire(self, key: str) -> None:
        """Thread-safe; without a running loop nobody watches, and nothing happens.

        Who begins to watch only now, reads only now: nobody is woken for that, which would cost more than the store.
        """
        if self._loop is not None and key in self._watchers:
            with suppress(RuntimeError):  # the loop was closed: the server ends
                self._loop.call_soon_threadsafe(self._wake, key)

    def stop(self) -> None:
        """Wake everybody: the server ends. Callable from a signal handler."""
        self.stopping = True
        for key in list(self._watchers):
            self.fire(key)

    @contextmanager
    def watch(self, key: str) -> Iterator[asyncio.Event]:
        """An event that is set at each signal; clear it before reading what it announces, or a signal is missed."""
        event = asyncio.Event()
        watchers = self._watchers.setdefault(key, set())
        watchers.add(event)
        try:
            yield event
        finally:
            watchers.discard(event)
            if not watchers:
                self._watchers.pop(key, None)

    def _wake(self, key: str) -> None:
        for event in self._watchers.get(key, ()):
            event.set()


@dataclass(frozen=True, slots=True)
class ModelEvent:
    seq: int
    type: str
    data: Mapping[str, Any]


class ModelEventLog:
    """The model's last events, numbered from 1 since the server started. Thread-safe."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._lock = threading.Lock()
        self._events: deque[ModelEvent] = deque(maxlen=KEPT_MODEL_EVENTS)
        self._seq = 0

    def append(self, type: str, data: Mapping[str, Any]) -> None:
        with self._lock:
            self._seq += 1
            self._events.append(ModelEvent(self._seq, type, data))
        self._changed()

    def after(self, seq: int) -> list[ModelEvent]:
        with self._lock:
            return [event for event in self._events if event.seq > seq]

    @property
    def last_seq(self) -> int:
        with self._lock:
            return self._seq
