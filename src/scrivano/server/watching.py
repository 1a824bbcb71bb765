"""The folder that the server itself watches (WATCH_FOLDER)."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

from anyio.to_thread import run_sync

from scrivano.watch.watcher import Watcher

__all__ = ["Watching", "log_report"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Watching:
    watcher: Watcher
    poll_s: float

    async def run(self) -> None:
        """Look at the folder until the task is cancelled."""
        while True:
            try:
                await run_sync(self.watcher.poll)
            except Exception:  # A fault here must not end the server, nor the watching.
                logger.exception("the watched folder could not be dealt with")
            await asyncio.sleep(self.poll_s)


def log_report(name: str, text: str) -> None:
    """File names may be private; they are logged at the level `debug` only."""
    if not name:
        logger.warning("watched folder: %s", text)
        return
    logger.debug("watched recording %s: %s", name, text)
