"""Between a dispatcher and the servers: tells them the state of its models, and does what they ask for."""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from scrivano.domain.errors import ScrivanoError
from scrivano.running.executor import Executor
from scrivano.running.model_reports import report_of
from scrivano.store.dispatchers import DispatcherStore

__all__ = ["ModelExchange"]

logger = logging.getLogger(__name__)

# How often changes are looked for; and reports without any.
POLL_S = 1.0
REPORT_S = 5.0

# A dispatcher that reported this long ago has ended.
LIVES_S = 20.0


class ModelExchange:
    """One thread of a dispatcher."""

    def __init__(self, store: DispatcherStore, executor: Executor) -> None:
        self._store = store
        self._executor = executor
        self._id = uuid.uuid4().hex
        self._woken = threading.Event()
        self._stopping = False
        self._seq: int | None = None
        self._shown: Mapping[str, Any] = {}
        self._shown_at = 0.0
        self._thread = threading.Thread(target=self._run, name="models", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        """There may be something to read."""
        self._woken.set()

    def stop(self, timeout_s: float = 5.0) -> None:
        self._stopping = True
        self.wake()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while not self._stopping:
            try:
                self._turn()
            except ScrivanoError as error:
                logger.warning("servers are not told about models now: %s", error)
            self._woken.wait(POLL_S)
            self._woken.clear()
        with suppress(ScrivanoError):
            self._store.withdraw(self._id)

    def _turn(self) -> None:
        if self._seq is None:  # what was asked for before this dispatcher was there is not for it
            self._seq = self._store.last_request()
        for request in self._store.requests_after(self._seq):
            self._seq = request.seq
            if request.model is None or request.model in self._executor.models:
                act = self._executor.load if request.action == "load" else self._executor.unload
                act(request.model)
        self._report()

    def _report(self) -> None:
        now = time.monotonic()
        shown = {name: report_of(status, now=now) for name, status in self._executor.models.items()}
        changed = _lasting(shown) != _lasting(self._shown)
        if changed or now - self._shown_at >= REPORT_S:
            self._store.report(self._id, shown, lives_s=LIVES_S, changed=changed)
            self._shown, self._shown_at = shown, now


def _lasting(models: Mapping[str, Any]) -> Mapping[str, Any]:
    """Without what changes all the time."""
    passing = ("retry_in_s", "lacking_s")
    return {
        name: {key: value for key, value in report.items() if key not in passing} for name, report in models.items()
    }
