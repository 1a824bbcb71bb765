"""The API keys of a running server: those in the file, kept up to date."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from pathlib import Path

from anyio.to_thread import run_sync

from scrivano.auth.keys import Key, read_keys, verify
from scrivano.domain.errors import StartError

__all__ = ["KeyRing"]

logger = logging.getLogger(__name__)

# How often the file is checked. A revoked key is refused after this time at the latest.
POLL_S = 1.0


class KeyRing:
    """Reads the file when created, which may raise `StartError`, and again whenever it changes while `run` runs.

    If a changed file cannot be read, the previous keys stay valid, and an error is logged.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._last_signature = _signature(path)
        self._changed = asyncio.Event()
        self._keys: Mapping[str, Key] = _by_hash(read_keys(path))

    def find(self, secret: str) -> Key | None:
        """The key with this secret. None: there is none."""
        return verify(self._keys, secret)

    def find_id(self, key_id: str) -> Key | None:
        """The key with this id. None: there is none."""
        return next((key for key in self._keys.values() if key.id == key_id), None)

    async def changed(self, key: Key) -> None:
        """Wait until this key is revoked or changed."""
        while self._keys.get(key.sha256) == key:
            await self._changed.wait()

    async def run(self) -> None:
        """Watch the file until cancelled."""
        while True:
            await asyncio.sleep(POLL_S)
            if await run_sync(self.reload):
                self._changed.set()
                self._changed = asyncio.Event()

    def reload(self) -> bool:
        """Read the file again if it has changed. Returns whether there are new keys."""
        signature = _signature(self._path)
        if signature == self._last_signature:
            return False
        self._last_signature = signature
        try:
            self._keys = _by_hash(read_keys(self._path))
        except StartError as error:
            logger.error("could not reload the API keys; the previous ones stay valid: %s", error)
            return False
        logger.info("API keys reloaded", extra={"keys": len(self._keys)})
        return True


def _by_hash(keys: tuple[Key, ...]) -> dict[str, Key]:
    return {key.sha256: key for key in keys}


def _signature(path: Path) -> tuple[int, ...] | None:
    """Changes whenever the file is written or replaced. None: the file does not exist."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns
