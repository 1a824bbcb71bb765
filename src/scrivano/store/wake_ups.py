"""Waking coroutines from threads when a job, the model or the outbox has changed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress

MODEL = "model"
DELIVERIES = "deliveries"


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

    def watched(self) -> list[str]:
        """The keys that somebody watches. Any thread may call."""
        return list(self._watchers)

    def stop(self) -> None:
        """Wake all watchers, because the server is stopping. May be called from a signal handler."""
        self.stopping = True
        for key in list(self._watchers):
            self.fire(key)

    @contextmanager
    def watch(self, *keys: str) -> Iterator[asyncio.Event]:
        """An event that each wake-up of a key sets. Clear it before reading the store, otherwise a wake-up is lost."""
        event = asyncio.Event()
        for key in keys:
            self._watchers.setdefault(key, set()).add(event)
        try:
            yield event
        finally:
            for key in keys:
                watchers = self._watchers[key]
                watchers.discard(event)
                if not watchers:
                    del self._watchers[key]

    def _wake(self, key: str) -> None:
        for event in self._watchers.get(key, ()):
            event.set()


async def wait_at_most(changed: asyncio.Event, timeout_s: float) -> None:
    """Not `asyncio.wait_for`: before Python 3.12 it may swallow a cancellation that arrives with the event."""
    with suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            await changed.wait()
