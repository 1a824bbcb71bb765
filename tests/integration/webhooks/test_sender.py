"""The sender with a real store, and receivers that return what a test gives them."""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
import time
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest
from standardwebhooks import Webhook, WebhookVerificationError
from store_support import Clock, add, file_size_limit, new_job

from scrivano.api.schemas import job_json
from scrivano.domain.job import JobStatus
from scrivano.net.address_policy import AddressPolicy
from scrivano.net.guarded_transport import GuardedTransport
from scrivano.store.database import Database
from scrivano.store.jobs import JobStore
from scrivano.store.outbox import Outbox
from scrivano.store.wake_ups import WakeUps
from scrivano.webhooks.sender import SenderOptions, WebhookSender

URL = "http://hooks.test/a"


class Receiver(httpx2.AsyncBaseTransport):
    """Returns its answers one after another, and repeats the last one."""

    def __init__(self, *answers: httpx2.Response) -> None:
        self.answers = list(answers)
        self.requests: list[httpx2.Request] = []

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        await request.aread()
        self.requests.append(request)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


class Endless(httpx2.AsyncByteStream):
    def __init__(self) -> None:
        self.sent = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            self.sent += 1
            yield bytes(65536)


def run(sender: WebhookSender, done: Callable[[], Any]) -> None:
    """Run the sender until `done`."""

    async def work() -> None:
        task = asyncio.create_task(sender.run())
        async with asyncio.timeout(60):
            while not done():
                await asyncio.sleep(0.005)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    asyncio.run(work())


def sender_to(
    receiver: httpx2.AsyncBaseTransport, store: JobStore, outbox: Outbox, clock: Clock, keys: Sequence[bytes] = ()
) -> WebhookSender:
    options = SenderOptions(now=clock, new_id=lambda: str(uuid.uuid4()), secrets=keys, store_pause_s=0.01)
    return WebhookSender(store, outbox, WakeUps(), receiver, job_json, options)


def ended(store: JobStore, clock: Clock, job_id: str = "a", url: str = URL) -> None:
    add(store, new_job(job_id, clock, webhook_url=url))
    store.cancel(job_id)


def due_in_s(outbox: Outbox, clock: Clock) -> float | None:
    when = outbox.next_due()
    return None if when is None else (when - clock()).total_seconds()


def test_a_delivery_contains_the_job_and_is_made_once(store: JobStore, outbox: Outbox, clock: Clock) -> None:
    ended(store, clock)
    receiver = Receiver(httpx2.Response(204))

    run(sender_to(receiver, store, outbox, clock), lambda: outbox.next_due() is None)

    (request,) = receiver.requests
    assert json.loads(request.content)["id"] == "a"
    assert request.headers["content-type"] == "application/json"
    assert not [name for name in request.headers if name.startswith("webhook-")]


def test_retry_after_is_respected(store: JobStore, outbox: Outbox, clock: Clock) -> None:
    ended(store, clock)
    receiver = Receiver(httpx2.Response(503, headers={"Retry-After": "120"}), httpx2.Response(204))

    run(sender_to(receiver, store, outbox, clock), lambda: due_in_s(outbox, clock) == 120)
    clock.forward(120)
    run(sender_to(receiver, store, outbox, clock), lambda: outbox.next_due() is None)

    assert len(receiver.requests) == 2


class Ticking(Clock):
    """Advances by 0.1 s at each call."""

    def __call__(self) -> datetime:
        self.forward(0.1)
        return self.time


@pytest.mark.parametrize("reads", range(6, 10))
def test_a_delivery_that_becomes_due_between_two_reads_is_not_missed(database: Database, reads: int) -> None:
    clock = Ticking()
    outbox = Outbox(database, clock)
    outbox.add("msg_a", URL, "model_ready", b"{}")
    sender = sender_to(receiver := Receiver(httpx2.Response(204)), JobStore(database, outbox, clock), outbox, clock)
    outbox.retry_at("msg_a", clock.time + timedelta(seconds=reads / 10 + 0.05), "answered 500")

    run(sender, lambda: receiver.requests)


def test_a_receiver_that_answered_410_is_not_called_again(store: JobStore, outbox: Outbox, clock: Clock) -> None:
    ended(store, clock)
    receiver = Receiver(httpx2.Response(410))
    sender = sender_to(receiver, store, outbox, clock)

    run(sender, lambda: outbox.next_due() is None)
    store.retry("a")
    store.cancel("a")

    assert outbox.next_due() is None
    assert len(receiver.requests) == 1


def test_a_url_that_answered_410_gets_no_model_events_until_it_is_registered_again(
    store: JobStore, outbox: Outbox, clock: Clock
) -> None:
    receiver = Receiver(httpx2.Response(410))
    sender = sender_to(receiver, store, outbox, clock)
    sender.register(URL)
    sender.announce("model_ready", {"type": "model_ready"})
    run(sender, lambda: outbox.next_due() is None)

    sender.announce("model_unloaded", {"type": "model_unloaded"})
    assert outbox.next_due() is None
    sender.register(URL)
    sender.announce("model_unloaded", {"type": "model_unloaded"})
    assert outbox.next_due() is not None


def test_an_endless_response_is_not_read(store: JobStore, outbox: Outbox, clock: Clock) -> None:
    ended(store, clock)
    body = Endless()

    run(sender_to(Receiver(httpx2.Response(200, stream=body)), store, outbox, clock), lambda: outbox.next_due() is None)

    assert body.sent == 0


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_a_failure_and_is_not_followed(
    store: JobStore, outbox: Outbox, clock: Clock, status: int
) -> None:
    ended(store, clock)
    receiver = Receiver(httpx2.Response(status, headers={"Location": "http://127.0.0.1/"}))

    run(sender_to(receiver, store, outbox, clock), lambda: due_in_s(outbox, clock) == 1)

    assert [str(request.url) for request in receiver.requests] == [URL]


def test_a_refused_address_is_a_failure_and_others_are_served(store: JobStore, outbox: Outbox, clock: Clock) -> None:
    ended(store, clock, "a", "http://169.254.169.254/latest")
    ended(store, clock, "b", "http://10.0.0.7/hook")
    ended(store, clock, "c", "http://1.1.1.1/hook")
    receiver = Receiver(httpx2.Response(204))
    guard = GuardedTransport(AddressPolicy.of(None, private_by_default=False), inner=receiver)

    run(sender_to(guard, store, outbox, clock), lambda: due_in_s(outbox, clock) == 1)

    assert [request.url.host for request in receiver.requests] == ["1.1.1.1"]


# Signatures


def as_text(key: bytes) -> str:
    return "whsec_" + base64.b64encode(key).decode()


def test_the_official_verifier_accepts_our_signatures(store: JobStore, outbox: Outbox, clock: Clock) -> None:
    old, new, other = (secrets.token_bytes(32) for _ in range(3))
    clock.time = datetime.now(UTC)  # the verifier uses the real clock
    ended(store, clock)
    receiver = Receiver(httpx2.Response(500), httpx2.Response(204))

    run(sender_to(receiver, store, outbox, clock, [old, new]), lambda: due_in_s(outbox, clock) == 1)
    clock.forward(1)
    run(sender_to(receiver, store, outbox, clock, [old, new]), lambda: outbox.next_due() is None)

    for request in receiver.requests:
        for key in (old, new):
            assert Webhook(as_text(key)).verify(request.content, dict(request.headers))["status"] == JobStatus.CANCELLED
        with pytest.raises(WebhookVerificationError):
            Webhook(as_text(other)).verify(request.content, dict(request.headers))
        with pytest.raises(WebhookVerificationError):
            Webhook(as_text(old)).verify(request.content + b" ", dict(request.headers))
    assert [request.headers["webhook-id"] for request in receiver.requests] == ["msg_a", "msg_a"]
    first, second = (int(request.headers["webhook-timestamp"]) for request in receiver.requests)
    assert second == first + 1


def test_a_clock_that_is_set_back_does_not_delay_retries(store: JobStore, outbox: Outbox, clock: Clock) -> None:
    ended(store, clock)
    began = time.monotonic()
    receiver = Receiver(httpx2.Response(503, headers={"Retry-After": "1000"}))
    sender = sender_to(receiver, store, outbox, clock)
    run(sender, lambda: due_in_s(outbox, clock) == 1000)

    clock.forward(-5 * 3600)
    assert due_in_s(outbox, clock) == 5 * 3600 + 1000
    run(sender, lambda: (due_in_s(outbox, clock) or 0) <= 1000)
    # This clock stands still, so the time that really passes meanwhile is taken for a part of the jump.
    passed_s = time.monotonic() - began
    assert 1000 - passed_s <= (due_in_s(outbox, clock) or 0) <= 1000


def test_on_a_full_disk_an_outcome_is_stored_later_and_the_call_is_not_repeated(
    full: list[None], store: JobStore, outbox: Outbox, clock: Clock
) -> None:
    ended(store, clock)
    receiver = Receiver(httpx2.Response(204))

    with file_size_limit(0):
        run(sender_to(receiver, store, outbox, clock), lambda: len(full) > 2)
    assert len(receiver.requests) == 1
    assert outbox.next_due() is not None


def test_on_a_full_disk_a_model_event_is_dropped_without_an_error(
    store: JobStore, outbox: Outbox, clock: Clock
) -> None:
    sender = sender_to(Receiver(httpx2.Response(204)), store, outbox, clock)
    sender.register(URL)

    with file_size_limit(0):
        sender.announce("model_ready", {})
    assert outbox.next_due() is None
