"""Delivers what the outbox holds: one POST after another for each URL, a few at once for each host."""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
import logging
import random
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any, Literal

import httpx2
from anyio.to_thread import run_sync

from scrivano.domain.errors import JobNotFound, StorageFull
from scrivano.domain.job import Job, job_json, utc
from scrivano.housekeeping.clock_jumps import ClockJumps
from scrivano.net.guarded_transport import guarded_client
from scrivano.store.jobs import JobStore
from scrivano.store.outbox import Delivery, Outbox
from scrivano.store.wake_ups import DELIVERIES, WakeUps
from scrivano.telemetry.events import Emit, WebhookCalled, ignore
from scrivano.telemetry.log_context import LOG_CONTEXT, LogContext
from scrivano.webhooks.circuit_breaker import PER_HOST, CircuitBreaker

logger = logging.getLogger(__name__)

MINUTE, HOUR = 60.0, 3600.0

# Seconds after each failed attempt: the contract's two, then the Standard Webhooks schedule, three days in all.
JOB_DELAYS = (1.0, 2.0, 30.0, 5 * MINUTE, 30 * MINUTE, *(hours * HOUR for hours in (2, 5, 10, 14, 20, 24)))

# News of the model is worth nothing later.
MODEL_DELAYS = (1.0, 2.0)

# Delays of half a minute and more vary by this share, so that a receiver that comes back is not met by all at once.
JITTER = 0.1

TIMEOUT_S = 15.0
MAX_RETRY_AFTER_S = 24 * HOUR
BATCH = 256
# How often the outbox is looked at when nothing happens: clocks are set, and rests are kept by another clock.
LOOK_S = 60.0

# Between tries while the database takes nothing.
STORE_PAUSE_S = 5.0

MODEL_KINDS = ("model_ready", "model_unloaded")


class WebhookSender:
    """`register` and `announce` may be called from any thread; the rest belongs to the server's loop.

    `transport` is a `GuardedTransport`. Each call is signed with each of `secrets`; without one it is not signed.
    """

    def __init__(
        self,
        store: JobStore,
        outbox: Outbox,
        wake_ups: WakeUps,
        now: Callable[[], datetime],
        new_id: Callable[[], str],
        transport: httpx2.AsyncBaseTransport,
        secrets: Sequence[bytes] = (),
        emit: Emit = ignore,
    ) -> None:
        self._store = store
        self._outbox = outbox
        self._wake_ups = wake_ups
        self._now = now
        self._new_id = new_id
        self._client = guarded_client(transport, TIMEOUT_S)
        self._secrets = secrets
        self._emit = emit
        self._urls: dict[str, None] = {}
        self._jumps = ClockJumps(now)
        self._hosts = CircuitBreaker()

    def register(self, url: str) -> None:
        """From now on, until the server ends, this URL also hears of the model."""
        self._urls[url] = None

    def announce(self, kind: str, data: Mapping[str, Any]) -> None:
        """Put a model event into the outbox for every URL ever registered."""
        if kind not in MODEL_KINDS:
            return
        payload = json.dumps(data).encode()
        try:
            for url in list(self._urls):
                self._outbox.add(f"msg_{self._new_id()}", url, kind, payload)
        except StorageFull as error:  # the model goes on, whoever can be told
            logger.error("webhooks are not told of %s: %s", kind, error)

    async def test(self, url: str) -> Outcome:
        """Make one call, as any other but for its body and that it is not tried again, and tell what came of it."""
        body = json.dumps({"type": "test", "sent_at": utc(self._now())}).encode()
        return await self._call(url, f"msg_{self._new_id()}", body)

    async def close(self) -> None:
        await self._client.aclose()

    async def run(self) -> None:
        """Deliver until cancelled."""
        async with asyncio.TaskGroup() as calls:
            with self._wake_ups.watch(DELIVERIES) as news:
                while True:
                    news.clear()
                    try:
                        await run_sync(self._mind_the_clock)
                        looked_at = self._now()
                        for delivery in await self._due():
                            calls.create_task(self._deliver(delivery, news))
                        wait_s = await self._idle_s(looked_at)
                    except Exception:
                        logger.exception("the webhooks that are due cannot be read")
                        wait_s = STORE_PAUSE_S
                    # Not `wait_for`: before Python 3.12 it can swallow a cancellation that comes with the news.
                    with suppress(TimeoutError):
                        async with asyncio.timeout(wait_s):
                            await news.wait()

    async def _due(self) -> Sequence[Delivery]:
        """What is to be called now; it counts as begun."""
        look = partial(
            self._outbox.due,
            BATCH,
            per_url=1,
            per_host=PER_HOST,
            busy_urls=self._hosts.busy_urls,
            full_hosts=self._hosts.full_hosts,
        )
        return self._hosts.begin(await run_sync(look), time.monotonic())

    def _mind_the_clock(self) -> None:
        """A clock that is set back makes nobody wait longer."""
        if (jump_s := self._jumps.check()) < 0:
            logger.warning("the clock was set back by %.0f s: webhooks are due as much earlier", -jump_s)
            self._outbox.bring_forward(timedelta(seconds=-jump_s))

    async def _idle_s(self, looked_at: datetime) -> float:
        """Seconds until a delivery becomes due. One that was due when they were looked at, and was not begun, waits for
        the end of another; one that has become due since then waits for nobody."""
        due = await run_sync(self._outbox.next_due, looked_at)
        return LOOK_S if due is None else min(LOOK_S, max(0.0, (due - self._now()).total_seconds()))

    async def _deliver(self, delivery: Delivery, news: asyncio.Event) -> None:
        LOG_CONTEXT.set(LogContext(job_id=delivery.job_id))
        well = None
        try:
            job, body = await run_sync(self._body, delivery)
            outcome = await self._call(delivery.url, delivery.id, body)
            well = outcome.well
            await self._keep(partial(self._record, delivery, outcome, job))
        except JobNotFound as gone:
            await self._keep(partial(self._outbox.give_up, delivery.id, str(gone)))
        except Exception:  # it is due again at once, but not as often as that
            logger.exception("a webhook could not be handled", extra={"delivery_id": delivery.id})
            await asyncio.sleep(STORE_PAUSE_S)
        finally:
            rest_s = self._hosts.ended(delivery, time.monotonic(), well=well)
            news.set()
        if rest_s is not None:
            await self._rest(delivery.host, rest_s)
            news.set()

    async def _rest(self, host: str, rest_s: float) -> None:
        """Let the outbox tell when the host's late attempts will be made."""
        logger.warning("a webhook host fails: its late attempts wait", extra={"host": host, "wait_secs": rest_s})
        try:
            await self._keep(partial(self._outbox.rest, host, self._now() + timedelta(seconds=rest_s)))
        except Exception:  # they are held back all the same
            logger.exception("a host's rest could not be stored", extra={"host": host})

    async def _keep(self, record: Callable[[], None]) -> None:
        """On a full disk, what became of a call waits until it can be stored: nobody is called again for that."""
        while True:
            try:
                return await run_sync(record)
            except StorageFull as error:
                logger.error("a webhook's outcome waits: %s", error)
                await asyncio.sleep(STORE_PAUSE_S)

    async def _call(self, url: str, message_id: str, body: bytes) -> Outcome:
        headers = {"Content-Type": "application/json", **signature(message_id, self._now(), body, self._secrets)}
        began = time.monotonic()
        status, failure = None, None
        try:
            # The answer's body is never read: it may have no end.
            async with (
                asyncio.timeout(TIMEOUT_S),
                self._client.stream("POST", url, content=body, headers=headers) as response,
            ):
                status, failure = response.status_code, failure_of(response, self._now())
        except TimeoutError:
            failure = Failure(f"no answer within {TIMEOUT_S:g} s")
        except Exception as error:  # whatever a receiver or its address can do must not end the sender
            failure = Failure(f"{type(error).__name__}: {error}")
        return Outcome(status, failure, time.monotonic() - began)

    def _body(self, delivery: Delivery) -> tuple[Job | None, bytes]:
        """What is sent, and the job that it is about."""
        if delivery.job_id is None:
            return None, delivery.payload or b""
        job = self._store.get_job(delivery.job_id)
        return job, job_json(job, self._store.get_result(job.id) or b"[]")

    def _record(self, delivery: Delivery, outcome: Outcome, job: Job | None) -> None:
        about = {"delivery_id": delivery.id, "kind": delivery.kind, "status": outcome.status}
        failure, told = outcome.failure, partial(self._tell, delivery, outcome, job)
        if failure is None:
            self._outbox.delivered(delivery.id, outcome.status)
            logger.info("webhook delivered", extra=about)
            told("delivered")
            return
        delay_s = None if failure.gone else next_delay(delivery.kind, delivery.attempts)
        if delay_s is not None:
            delay_s = max(delay_s, failure.retry_after_s)
        logger.warning("webhook failed: %s", failure.error, extra={**about, "retry_in_secs": delay_s})
        if delay_s is None:
            self._give_up(delivery, outcome, failure)
            told("gone" if failure.gone else "given_up")
        else:
            when = self._now() + timedelta(seconds=delay_s)
            self._outbox.retry_at(delivery.id, when, failure.error, outcome.status)
            told("failed")

    def _give_up(self, delivery: Delivery, outcome: Outcome, failure: Failure) -> None:
        self._outbox.give_up(delivery.id, failure.error, outcome.status, gone=failure.gone)
        if failure.gone:
            self._urls.pop(delivery.url, None)  # until a submission names it again

    def _tell(
        self,
        delivery: Delivery,
        outcome: Outcome,
        job: Job | None,
        word: Literal["delivered", "failed", "given_up", "gone"],
    ) -> None:
        traceparent = job.traceparent if job else None
        self._emit(WebhookCalled(delivery.kind, word, outcome.secs, outcome.status, delivery.job_id, traceparent))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a call. `status`: the answer's, None without one; `failure` None: delivered."""

    status: int | None
    failure: Failure | None
    secs: float

    @property
    def well(self) -> bool:
        """Whether the host is there and works, even if it wants nothing of this."""
        return self.status is not None and self.status < 500 and self.status != 429


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a call did not succeed. `gone`: the receiver wants no more; `retry_after_s`: it wants none earlier."""

    error: str
    gone: bool = False
    retry_after_s: float = 0.0


def failure_of(response: httpx2.Response, now: datetime) -> Failure | None:
    """None: delivered."""
    if response.is_success:
        return None
    return Failure(
        f"answered {response.status_code}",
        gone=response.status_code == 410,
        retry_after_s=_retry_after_s(response.headers.get("Retry-After", ""), now),
    )


def _retry_after_s(text: str, now: datetime) -> float:
    """Seconds or a date, as RFC 9110 has them, up to a day; 0 for what is neither."""
    if text.isascii() and text.isdigit():
        return min(float(text), MAX_RETRY_AFTER_S)
    try:
        wanted = parsedate_to_datetime(text)
        wait_s = (wanted if wanted.tzinfo else wanted.replace(tzinfo=UTC)) - now
    except (ValueError, OverflowError):
        return 0.0
    return min(max(0.0, wait_s.total_seconds()), MAX_RETRY_AFTER_S)


def signature(message_id: str, now: datetime, body: bytes, secrets: Sequence[bytes]) -> dict[str, str]:
    """The headers of Standard Webhooks, one signature a secret; none without one."""
    if not secrets:
        return {}
    timestamp = str(int(now.timestamp()))
    signed = b".".join((message_id.encode(), timestamp.encode(), body))
    digests = [base64.b64encode(hmac.digest(secret, signed, "sha256")).decode() for secret in secrets]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(f"v1,{digest}" for digest in digests),
    }


def next_delay(kind: str, failed_before: int, chance: Callable[[], float] = random.random) -> float | None:
    """Seconds from a failed attempt to the next one, after `failed_before` earlier failures; None: give up."""
    delays = MODEL_DELAYS if kind in MODEL_KINDS else JOB_DELAYS
    if failed_before >= len(delays):
        return None
    delay_s = delays[failed_before]
    return delay_s if delay_s < 30 else delay_s * (1 + JITTER * (2 * chance() - 1))
