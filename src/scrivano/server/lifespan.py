"""What runs in the background while the application serves."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass
from typing import Any

from anyio.to_thread import run_sync
from fastapi import FastAPI

from scrivano.running.executor import Executor
from scrivano.store.notices import Notices
from scrivano.store.wake_ups import WakeUps
from scrivano.submission.submissions import Submissions
from scrivano.submission.waiter import Waiter

__all__ = ["Lifespan", "WyomingOptions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WyomingOptions:
    """`listener` None: Wyoming is off. `model`: the name that is shown to its clients."""

    listener: socket.socket | None
    submissions: Submissions
    waiter: Waiter
    model: str

    def serve(self) -> AbstractAsyncContextManager[None]:
        if self.listener is None:
            return nullcontext()
        from scrivano.wyoming.server import WyomingServer  # An extra, which may not be installed.

        return WyomingServer(submissions=self.submissions, waiter=self.waiter, model=self.model).serve(self.listener)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifespan:
    """The lifespan of the application. `notices`: of other servers, if any. `tasks` run until they are cancelled;
    `closers` are called in this order."""

    wake_ups: WakeUps
    executor: Executor
    wyoming: WyomingOptions
    notices: Notices | None
    tasks: Sequence[Callable[[], Coroutine[Any, Any, None]]]
    closers: Sequence[Callable[[], Coroutine[Any, Any, None]]]

    @asynccontextmanager
    async def __call__(self, app: FastAPI) -> AsyncIterator[None]:
        self.wake_ups.attach(asyncio.get_running_loop())
        self.executor.start()
        if self.notices is not None:
            self.notices.start()
        tasks = [asyncio.create_task(task()) for task in self.tasks]
        try:
            async with self.wyoming.serve():
                yield
        finally:
            # The runner stops first: the end of a batch may still publish a job and wake the tasks.
            await run_sync(self.executor.stop)
            if self.notices is not None:
                await run_sync(self.notices.stop)
            for task in tasks:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
            for close in self.closers:
                await close()
