"""Waking coroutines from threads when a job, the model or the outbox has changed."""

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

# How many events back `Last-Event-ID` can replay on the model's stream.
STORED_MODEL_EVENTS = 256


class WakeUps:
    """Threads call `fire`; coroutines of the attached event loop call `watch`.

    A wake-up carries no data: watchers read the store. So slow watchers cost nothing, and ten wake-ups may become one.
    `stopping`: the server is stopping, and watchers should stop waiting.
    """

    def __init__(self) -> None:
        self.stopping = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._watchers: dict[str, set[asyncio.Event]] = {}

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def fire(self, key: str) -> None:
        """Wake the watchers of a key. Thread-safe; does nothing without an event loop."""
        # Keys without watchers are skipped: a new watcher reads the store first, so it misses nothing, and waking the
        # event loop for every commit would cost more than the commit.
        if self._loop is not None and key in self._watchers:
            with suppress(RuntimeError):  # the event loop is closed: the server is stopping
                self._loop.call_soon_threadsafe(self._wake, key)

    def stop(self) -> None:
        """Wake all watchers, because the server is stopping. May be called from a signal handler."""
        self.stopping = True
        for key in list(self._watchers):
            self.fire(key)

    @contextmanager
    def watch(self, key: str) -> Iterator[asyncio.Event]:
        """An event that each wake-up sets. Clear it before reading the store, otherwise a wake-up is lost."""
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
    """The last events of the model, numbered from 1 since the server started. Thread-safe."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._lock = threading.Lock()
        self._events: deque[ModelEvent] = deque(maxlen=STORED_MODEL_EVENTS)
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
