"""What nothing needs any more, found in sweep after sweep."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable

from anyio.to_thread import run_sync

from scrivano.domain.errors import ScrivanoError

__all__ = ["Unneeded", "sweep_forever"]

logger = logging.getLogger(__name__)


class Unneeded:
    """A recording is there before the row of its job is, so it counts only after `margin_s`.

    Counted from when it was first seen: the clocks of other machines do not matter. `monotonic`: the clock.
    """

    def __init__(self, margin_s: float, monotonic: Callable[[], float]) -> None:
        self._margin_s = margin_s
        self._monotonic = monotonic
        self._seen: dict[str, float] = {}

    def due(self, ids: Iterable[str]) -> list[str]:
        """`ids`: what nothing needs now. Returns what nothing has needed for `margin_s`, in all sweeps since then."""
        now = self._monotonic()
        self._seen = {one: self._seen.get(one, now) for one in ids}
        return [one for one, since in self._seen.items() if now - since >= self._margin_s]


async def sweep_forever(sweep: Callable[[], object], interval_s: float, what: str) -> None:
    """Until cancelled, in a thread. `what` is looked for, for the log."""
    while True:
        try:
            await run_sync(sweep)
        except (ScrivanoError, OSError) as error:
            logger.warning("%s could not be looked for: %s", what, error)
        await asyncio.sleep(interval_s)
