"""The API keys of a running server: the file's, as it is now."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from pathlib import Path

from anyio.to_thread import run_sync

from scrivano.auth.keys import Key, prove, read_keys
from scrivano.domain.errors import StartError

__all__ = ["KeyRing"]

logger = logging.getLogger(__name__)

# How often the file is looked at: a revoked key is refused after this time at the latest.
LOOK_S = 1.0


class KeyRing:
    """Reads the file once when made, which raises `StartError`, and again whenever it has changed while `run` runs.

    A file that cannot be read by then changes nothing: the keys stay those of before, and the log says so.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen = _signature(path)
        self._changed = asyncio.Event()
        self._keys: Mapping[str, Key] = _by_hash(read_keys(path))

    def find(self, secret: str) -> Key | None:
        return prove(self._keys, secret)

    async def changed(self, key: Key) -> None:
        """Return when this key has been revoked, or is no longer as it was."""
        while self._keys.get(key.sha256) == key:
            await self._changed.wait()

    async def run(self) -> None:
        """Look after the file until cancelled."""
        while True:
            await asyncio.sleep(LOOK_S)
            if await run_sync(self.look):
                self._changed.set()
                self._changed = asyncio.Event()

    def look(self) -> bool:
        """Read the file again if it has changed; whether it had, and could be read."""
        signature = _signature(self._path)
        if signature == self._seen:
            return False
        self._seen = signature
        try:
            self._keys = _by_hash(read_keys(self._path))
        except StartError as error:
            logger.error("the API keys stay as they were: %s", error)
            return False
        logger.info("API keys read again", extra={"keys": len(self._keys)})
        return True


def _by_hash(keys: tuple[Key, ...]) -> dict[str, Key]:
    return {key.sha256: key for key in keys}


def _signature(path: Path) -> tuple[int, ...] | None:
    """Differs from before when the file was written or replaced; None: it is not there."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns
