"""The events of the model, kept in memory for those who follow them: `/model/events`."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["ModelEvent", "ModelEventLog"]

# How many events back `Last-Event-ID` can replay.
STORED_EVENTS = 256


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
        self._events: deque[ModelEvent] = deque(maxlen=STORED_EVENTS)
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
