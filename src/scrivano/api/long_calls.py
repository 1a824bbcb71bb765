"""Calls that wait for a job longer than proxies and clients wait for a response: a part of the body is sent early."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

from fastapi.responses import Response, StreamingResponse

from scrivano.api.errors import JOB_ID_HEADER, Problem, error_response, problem_of
from scrivano.api.routing import ErrorFormat
from scrivano.api.sse import PING_S
from scrivano.domain.errors import ScrivanoError
from scrivano.submission.waiter import Waiter

__all__ = ["LongCalls"]

logger = logging.getLogger(__name__)

# A call that waits long checks this often whether its recording can be read.
CHECK_INTERVAL_S = 1.0
# It waits so long for that. Behind a queue, or while the model loads, no recording is read; proxies give up after 60 s.
UNREAD_S = 20.0

Content = Coroutine[Any, Any, str | bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class LongCalls:
    """`keepalive_after_s`: after so many seconds, the status and white space are sent, and more white space every
    `interval_s`; 0: never.

    Only JSON may begin with white space. The status is 200 then, even if the job fails later. Therefore it is sent up
    to `unread_s` later if the recording has not proved readable yet, which excludes most errors.
    """

    waiter: Waiter
    keepalive_after_s: float
    interval_s: float = PING_S
    unread_s: float = UNREAD_S

    async def respond(
        self,
        job_id: str,
        content: Content,
        *,
        media_type: str,
        headers: Mapping[str, str] | None = None,
        errors: ErrorFormat | None = None,
    ) -> Response:
        """Wait for the content.

        `errors`: how an error is written into a body that has started; None: the content is not JSON, so nothing is
        sent before it. Raises what `content` does, as long as nothing has been sent.
        """
        headers = {JOB_ID_HEADER: job_id, **(headers or {})}
        if errors is None or not self.keepalive_after_s:
            return Response(await content, media_type=media_type, headers=headers)
        waiting = asyncio.create_task(content)
        try:
            if await self._is_soon(job_id, waiting):
                return Response(waiting.result(), media_type=media_type, headers=headers)
        except BaseException:
            waiting.cancel()
            raise
        headers["X-Accel-Buffering"] = "no"  # nginx would keep the white space until it has a kilobyte of it.
        return StreamingResponse(self._body(waiting, errors), media_type=media_type, headers=headers)

    async def _is_soon(self, job_id: str, waiting: asyncio.Task[str | bytes]) -> bool:
        """Whether the content is complete before the body has to start."""
        await asyncio.wait({waiting}, timeout=self.keepalive_after_s)
        latest = time.monotonic() + self.unread_s
        while not waiting.done() and time.monotonic() < latest and not await self.waiter.is_readable(job_id):
            await asyncio.wait({waiting}, timeout=CHECK_INTERVAL_S)
        return waiting.done()

    async def _body(self, waiting: asyncio.Task[str | bytes], errors: ErrorFormat) -> AsyncIterator[str | bytes]:
        try:
            while not waiting.done():
                yield " "
                await asyncio.wait({waiting}, timeout=self.interval_s)
            try:
                yield waiting.result()
            except Exception as error:
                yield _error_body(errors, error)
        finally:
            waiting.cancel()


def _error_body(errors: ErrorFormat, error: Exception) -> bytes:
    if isinstance(error, ScrivanoError):
        problem = problem_of(error)
        logger.info("an error was sent after the status 200", extra={"code": problem.code, "status": problem.status})
    else:
        logger.error("a request failed after its response had started", exc_info=error)
        problem = Problem.internal()
    return bytes(error_response(errors, problem).body)
