"""Delivers what the outbox holds: one POST after another for each URL, several URLs at once."""

from __future__ import annotations

import asyncio
import base64
import hmac
import itertools
import json
import logging
import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any

import httpx2
from anyio.to_thread import run_sync

from scrivano.clocks import Jumps
from scrivano.errors import JobNotFound, StorageFull
from scrivano.guard import guarded_client
from scrivano.jobs import job_json
from scrivano.signals import DELIVERIES, Signals
from scrivano.store import Delivery, Store

logger = logging.getLogger(__name__)

MINUTE, HOUR = 60.0, 3600.0

JOB_DELAYS = (1.0, 2.0, 30.0, 5 * MINUTE, 30 * MINUTE, *(hours * HOUR for hours in (2, 5, 10, 14, 20, 24)))
"""Seconds after each failed attempt: the contract's two, then the Standard Webhooks schedule, three days in all."""

MODEL_DELAYS = (1.0, 2.0)
"""News of the model is worth nothing later."""

JITTER = 0.1
"""Delays of half a minute and more vary by this share, so that a receiver that comes back is not met by all at once."""

TIMEOUT_S = 15.0
FULL_DISK_PAUSE_S = 5.0

LOOK_S = 60.0
"""The longest rest: how late a clock that was set back is noticed."""

MAX_RETRY_AFTER_S = 24 * HOUR
BATCH = 100
MODEL_KINDS = ("model_ready", "model_unloaded")


class WebhookSender:
    """`register` and `announce` may be called from any thread; `run` belongs to the server's loop.

    `transport` is a `GuardedTransport`. Each call is signed with each of `secrets`; without one it is not signed.
    """

    def __init__(
        self,
        store: Store,
        signals: Signals,
        now: Callable[[], datetime],
        new_id: Callable[[], str],
        transport: httpx2.AsyncBaseTransport,
        secrets: Sequence[bytes] = (),
    ) -> None:
        self._store = store
        self._signals = signals
        self._now = now
        self._new_id = new_id
        self._transport = transport
        self._secrets = secrets
        self._urls: dict[str, None] = {}
        self._jumps = Jumps(now)

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
                self._store.add_delivery(f"msg_{self._new_id()}", url, kind, payload)
        except StorageFull as error:  # the model goes on, whoever can be told
            logger.error("webhooks are not told of %s: %s", kind, error)

    async def run(self) -> None:
        """Deliver until cancelled."""
        async with guarded_client(self._transport, TIMEOUT_S) as client:
            with self._signals.watch(DELIVERIES) as news:
                while True:
                    news.clear()
                    await self._keep(self._mind_the_clock)
                    if not await self._deliver_due(client):
                        await self._rest(news)

    async def _deliver_due(self, client: httpx2.AsyncClient) -> bool:
        """One round; False when nothing was due."""
        due = await run_sync(self._store.due_deliveries, BATCH)
        by_url = itertools.groupby(sorted(due, key=lambda item: item.url), key=lambda item: item.url)
        async with asyncio.TaskGroup() as group:
            for _, deliveries in by_url:
                group.create_task(self._deliver_in_order(client, list(deliveries)))
        return bool(due)

    def _mind_the_clock(self) -> None:
        """A clock that is set back makes nobody wait longer."""
        if (jump_s := self._jumps.look()) < 0:
            logger.warning("the clock was set back by %.0f s: webhooks are due as much earlier", -jump_s)
            self._store.bring_forward(timedelta(seconds=-jump_s))

    async def _rest(self, news: asyncio.Event) -> None:
        next_due = await run_sync(self._store.next_due)
        wait_s = LOOK_S if next_due is None else min(LOOK_S, max(0.0, (next_due - self._now()).total_seconds()))
        with suppress(TimeoutError):
            await asyncio.wait_for(news.wait(), wait_s)

    async def _deliver_in_order(self, client: httpx2.AsyncClient, deliveries: Sequence[Delivery]) -> None:
        for delivery in deliveries:
            await self._deliver(client, delivery)

    async def _deliver(self, client: httpx2.AsyncClient, delivery: Delivery) -> None:
        try:
            body = await run_sync(self._body, delivery)
            failure = await self._post(client, delivery, body)
        except JobNotFound as gone:
            await self._keep(partial(self._store.give_up, delivery.id, str(gone)))
            return
        except Exception as error:  # whatever a receiver or its address can do must not end the sender
            failure = Failure(f"{type(error).__name__}: {error}")
        await self._keep(partial(self._record, delivery, failure))

    async def _keep(self, record: Callable[[], None]) -> None:
        """On a full disk, what became of a call waits until it can be stored: nobody is called again for that."""
        while True:
            try:
                return await run_sync(record)
            except StorageFull as error:
                logger.error("a webhook's outcome waits: %s", error)
                await asyncio.sleep(FULL_DISK_PAUSE_S)

    async def _post(self, client: httpx2.AsyncClient, delivery: Delivery, body: bytes) -> Failure | None:
        headers = {"Content-Type": "application/json", **signature(delivery.id, self._now(), body, self._secrets)}
        # The answer's body is never read: it may have no end.
        async with (
            asyncio.timeout(TIMEOUT_S),
            client.stream("POST", delivery.url, content=body, headers=headers) as response,
        ):
            return failure_of(response, self._now())

    def _body(self, delivery: Delivery) -> bytes:
        if delivery.payload is not None or delivery.job_id is None:
            return delivery.payload or b""
        return job_json(self._store.get_job(delivery.job_id), self._store.get_result(delivery.job_id) or b"[]")

    def _record(self, delivery: Delivery, failure: Failure | None) -> None:
        about = {"delivery_id": delivery.id, "job_id": delivery.job_id, "kind": delivery.kind}
        if failure is None:
            self._store.delivered(delivery.id)
            logger.info("webhook delivered", extra=about)
            return
        delay_s = None if failure.gone else next_delay(delivery.kind, delivery.attempts)
        if delay_s is not None:
            delay_s = max(delay_s, failure.retry_after_s)
        logger.warning("webhook failed: %s", failure.error, extra={**about, "retry_in_secs": delay_s})
        if delay_s is None:
            self._give_up(delivery, failure)
        else:
            self._store.retry_at(delivery.id, self._now() + timedelta(seconds=delay_s), failure.error)

    def _give_up(self, delivery: Delivery, failure: Failure) -> None:
        self._store.give_up(delivery.id, failure.error, gone=failure.gone)
        if failure.gone:
            self._urls.pop(delivery.url, None)  # until a submission names it again


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
