"""Delivers what is in the outbox: calls for one URL one after another, for one host a few at once."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Literal

import httpx2
from anyio.to_thread import run_sync

from scrivano.domain.errors import DatabaseUnreachable, JobNotFound, StorageFull
from scrivano.domain.job import Job, utc
from scrivano.domain.speakers import Turn
from scrivano.housekeeping.clock_jumps import ClockJumps
from scrivano.net.guarded_transport import guarded_client
from scrivano.store.jobs import JobStore
from scrivano.store.outbox import Delivery, Outbox
from scrivano.store.wake_ups import DELIVERIES, WakeUps, wait_at_most
from scrivano.telemetry.events import Emit, WebhookCalled, ignore
from scrivano.telemetry.log_context import LOG_CONTEXT, LogContext
from scrivano.webhooks.circuit_breaker import PER_HOST, CircuitBreaker
from scrivano.webhooks.retry import MODEL_KINDS, CallFailure, failure_of, next_delay_s
from scrivano.webhooks.signature import signature_headers

__all__ = ["CallOutcome", "SenderOptions", "WebhookSender"]

logger = logging.getLogger(__name__)

# The body of a job's webhook: takes the job, the stored JSON of its segments, and the turns of its speakers.
JobJson = Callable[[Job, bytes, Sequence[Turn]], bytes]

# The whole call, since a receiver could send one byte at a time for ever.
TIMEOUT_S = 15.0

# Deliveries read from the outbox at once.
BATCH = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class SenderOptions:
    """Each call is signed with each of `secrets`; without secrets, calls are not signed.

    `poll_s`: the outbox is read at least this often: the wall clock may be set, while circuits use the monotonic clock,
    and another server may have ended. `store_pause_s`: seconds between attempts to store an outcome on a full disk.
    """

    now: Callable[[], datetime]
    new_id: Callable[[], str]
    secrets: Sequence[bytes] = ()
    emit: Emit = ignore
    poll_s: float = 60.0
    store_pause_s: float = 5.0


class WebhookSender:
    """`register` and `announce` are thread-safe; call everything else on the server's event loop.

    `transport` is a `GuardedTransport`; `close` closes it.
    """

    def __init__(
        self,
        store: JobStore,
        outbox: Outbox,
        wake_ups: WakeUps,
        transport: httpx2.AsyncBaseTransport,
        job_json: JobJson,
        options: SenderOptions,
    ) -> None:
        self._store = store
        self._outbox = outbox
        self._wake_ups = wake_ups
        self._client = guarded_client(transport, TIMEOUT_S)
        self._job_json = job_json
        self._options = options
        self._model_urls: dict[str, None] = {}  # An ordered set.
        self._clock_jumps = ClockJumps(options.now)
        self._circuit_breaker = CircuitBreaker()

    def register(self, url: str) -> None:
        """Send model events to this URL, too, until the server stops."""
        self._model_urls[url] = None

    def announce(self, kind: str, data: Mapping[str, Any]) -> None:
        """Put a model event into the outbox for every registered URL."""
        if kind not in MODEL_KINDS:
            return
        payload = json.dumps(data).encode()
        try:
            for url in list(self._model_urls):
                self._outbox.add(f"msg_{self._options.new_id()}", url, kind, payload)
        except (StorageFull, DatabaseUnreachable) as error:
            # The model must work on even if the event cannot be stored.
            logger.error("no webhooks are sent for %s: %s", kind, error)

    async def test(self, url: str) -> CallOutcome:
        """Make one call that is signed and guarded like every other one, but is not tried again."""
        body = json.dumps({"type": "test", "sent_at": utc(self._options.now())}).encode()
        return await self._call(url, f"msg_{self._options.new_id()}", body)

    async def close(self) -> None:
        await self._client.aclose()

    async def run(self) -> None:
        """Deliver until cancelled."""
        async with asyncio.TaskGroup() as calls:
            with self._wake_ups.watch(DELIVERIES) as changed:
                while True:
                    changed.clear()
                    try:
                        await run_sync(self._check_clock)
                        read_at = self._options.now()
                        for delivery in await self._start_due():
                            calls.create_task(self._deliver(delivery, changed))
                        wait_s = await self._wait_s(read_at)
                    except Exception:
                        logger.exception("could not read the webhook deliveries that are due")
                        wait_s = self._options.store_pause_s
                    await wait_at_most(changed, wait_s)

    async def _start_due(self) -> Sequence[Delivery]:
        """The deliveries to call now. The circuit breaker counts them as started."""
        read_due = partial(
            self._outbox.take_due,
            BATCH,
            per_url=1,
            per_host=PER_HOST,
            busy_urls=self._circuit_breaker.busy_urls,
            full_hosts=self._circuit_breaker.full_hosts,
        )
        return self._circuit_breaker.start(await run_sync(read_due), time.monotonic())

    def _check_clock(self) -> None:
        """If the clock was set back, move the due times back, too: no receiver must wait longer because of it."""
        if (jump_s := self._clock_jumps.check()) < 0:
            logger.warning("the clock was set back by %.0f s: webhooks are due as much earlier", -jump_s)
            self._outbox.bring_forward(timedelta(seconds=-jump_s))

    async def _wait_s(self, read_at: datetime) -> float:
        """Seconds until the next delivery is due.

        Deliveries that were due at `read_at` do not count: if they were not started, they wait until another call
        ends, which wakes the loop. Those that have become due since then do count.
        """
        due = await run_sync(self._outbox.next_due, read_at)
        poll_s = self._options.poll_s
        return poll_s if due is None else min(poll_s, max(0.0, (due - self._options.now()).total_seconds()))

    async def _deliver(self, delivery: Delivery, changed: asyncio.Event) -> None:
        LOG_CONTEXT.set(LogContext(job_id=delivery.job_id))
        host_works = None
        try:
            job, body = await run_sync(self._read_body, delivery)
            outcome = await self._call(delivery.url, delivery.id, body)
            host_works = outcome.host_works
            await self._store_when_possible(partial(self._record, delivery, outcome, job))
        except JobNotFound as error:
            await self._store_when_possible(partial(self._outbox.give_up, delivery.id, str(error)))
        except Exception:  # The delivery is due again at once; the pause keeps it from failing in a tight loop.
            logger.exception("could not handle a webhook delivery", extra={"delivery_id": delivery.id})
            await asyncio.sleep(self._options.store_pause_s)
        finally:
            open_s = self._circuit_breaker.ended(delivery, time.monotonic(), host_works=host_works)
            changed.set()
        if open_s is not None:
            await self._postpone(delivery.host, open_s)
            changed.set()

    async def _postpone(self, host: str, open_s: float) -> None:
        """Store when the host's late attempts will be made, so that clients see it."""
        logger.warning("webhook host keeps failing: late attempts wait", extra={"host": host, "wait_secs": open_s})
        until = self._options.now() + timedelta(seconds=open_s)
        try:
            await self._store_when_possible(partial(self._outbox.postpone, host, until))
        except Exception:  # The circuit breaker holds the attempts back in any case.
            logger.exception("could not store until when a webhook host's attempts wait", extra={"host": host})

    async def _store_when_possible(self, write: Callable[[], None]) -> None:
        """Retry while the disk is full, or the database is gone.

        Giving up would repeat a call that the receiver has already answered.
        """
        while True:
            try:
                return await run_sync(write)
            except (StorageFull, DatabaseUnreachable) as error:
                logger.error("could not store the outcome of a webhook call; trying again: %s", error)
                await asyncio.sleep(self._options.store_pause_s)

    async def _call(self, url: str, message_id: str, body: bytes) -> CallOutcome:
        signatures = signature_headers(message_id, self._options.now(), body, self._options.secrets)
        headers = {"Content-Type": "application/json", **signatures}
        started_at = time.monotonic()
        status, failure = None, None
        try:
            # The body of the response is not read: it may be endless.
            async with (
                asyncio.timeout(TIMEOUT_S),
                self._client.stream("POST", url, content=body, headers=headers) as response,
            ):
                status, failure = response.status_code, failure_of(response, self._options.now())
        except TimeoutError:
            failure = CallFailure(f"no answer within {TIMEOUT_S:g} s")
        except Exception as error:  # Nothing that a receiver or its address does may stop the sender.
            failure = CallFailure(f"{type(error).__name__}: {error}")
        return CallOutcome(status, failure, time.monotonic() - started_at)

    def _read_body(self, delivery: Delivery) -> tuple[Job | None, bytes]:
        """The delivery's job, if it has one, and the body to send."""
        if delivery.job_id is None:
            return None, delivery.payload or b""
        job = self._store.get_job(delivery.job_id)
        turns = self._store.turns(job.id) if job.speakers else ()
        return job, self._job_json(job, self._store.get_result(job.id) or b"[]", turns)

    def _record(self, delivery: Delivery, outcome: CallOutcome, job: Job | None) -> None:
        """Store the outcome, then log it and emit it."""
        fields = {"delivery_id": delivery.id, "kind": delivery.kind, "status": outcome.status}
        failure, emit = outcome.failure, partial(self._emit, delivery, outcome, job)
        if failure is None:
            self._outbox.delivered(delivery.id, outcome.status)
            logger.info("webhook delivered", extra=fields)
            emit("delivered")
            return
        delay_s = None if failure.gone else next_delay_s(delivery.kind, delivery.attempts)
        if delay_s is not None:
            delay_s = max(delay_s, failure.retry_after_s)
        logger.warning("webhook failed: %s", failure.error, extra={**fields, "retry_in_secs": delay_s})
        if delay_s is None:
            if failure.gone:  # First: the store drops what waits for the URL, and nothing may be added after that.
                self._model_urls.pop(delivery.url, None)  # Until another submission registers it.
            self._outbox.give_up(delivery.id, failure.error, outcome.status, gone=failure.gone)
            emit("gone" if failure.gone else "given_up")
        else:
            when = self._options.now() + timedelta(seconds=delay_s)
            self._outbox.retry_at(delivery.id, when, failure.error, outcome.status)
            emit("failed")

    def _emit(
        self,
        delivery: Delivery,
        outcome: CallOutcome,
        job: Job | None,
        result: Literal["delivered", "failed", "given_up", "gone"],
    ) -> None:
        traceparent = job.traceparent if job else None
        duration_s, status = outcome.duration_s, outcome.status
        self._options.emit(WebhookCalled(delivery.kind, result, duration_s, status, delivery.job_id, traceparent))


@dataclass(frozen=True, slots=True)
class CallOutcome:
    """`status`: the HTTP status; None: no response. `failure` None: delivered."""

    status: int | None
    failure: CallFailure | None
    duration_s: float

    @property
    def host_works(self) -> bool:
        """True if the host answers properly, even if it refuses this delivery."""
        return self.status is not None and self.status < 500 and self.status != 429
