"""The sender with a real store, and receivers that answer what a test tells them to."""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx2
import pytest
from standardwebhooks import Webhook, WebhookVerificationError
from store_support import Clock, add, file_size_limit, new_job

from scrivano.domain.job import JobStatus
from scrivano.net.address_policy import AddressPolicy
from scrivano.net.guarded_transport import GuardedTransport
from scrivano.store.database import Database
from scrivano.store.jobs import JobStore
from scrivano.store.outbox import Outbox
from scrivano.store.wake_ups import WakeUps
from scrivano.webhooks import sender as webhooks
from scrivano.webhooks.sender import WebhookSender, failure_of, next_delay, signature

URL = "http://hooks.test/a"
NOW = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)


class Receiver(httpx2.AsyncBaseTransport):
    """Answers one after another, the last one for ever."""

    def __init__(self, *answers: httpx2.Response) -> None:
        self.answers = list(answers)
        self.requests: list[httpx2.Request] = []

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        await request.aread()
        self.requests.append(request)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


class Endless(httpx2.AsyncByteStream):
    def __init__(self) -> None:
        self.given = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            self.given += 1
            yield bytes(65536)


def run(sender: WebhookSender, done: Callable[[], Any]) -> None:
    """Let the sender work until `done`."""

    async def work() -> None:
        task = asyncio.create_task(sender.run())
        async with asyncio.timeout(10):
            while not done():
                await asyncio.sleep(0.005)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    asyncio.run(work())


def sender_to(
    receiver: httpx2.AsyncBaseTransport, store: JobStore, outbox: Outbox, clock: Clock, keys: Sequence[bytes] = ()
) -> WebhookSender:
    return WebhookSender(store, outbox, WakeUps(), clock, lambda: str(uuid.uuid4()), receiver, keys)


def ended(store: JobStore, clock: Clock, job_id: str = "a", url: str = URL) -> None:
    add(store, new_job(job_id, clock, webhook_url=url))
    store.cancel(job_id)


def due_in_s(outbox: Outbox, clock: Clock) -> float | None:
    when = outbox.next_due()
    return None if when is None else (when - clock()).total_seconds()


def test_a_delivery_is_the_job_and_is_made_once(store: JobStore, outbox: Outbox, clock: Clock) -> None:
    ended(store, clock)
    receiver = Receiver(httpx2.Response(204))

    run(sender_to(receiver, store, outbox, clock), lambda: outbox.next_due() is None)

    (request,) = receiver.requests
    assert json.loads(request.content)["id"] == "a"
    assert request.headers["content-type"] == "application/json"
    assert not [name for name in request.headers if name.startswith("webhook-")]


def test_a_receiver_says_when_to_come_back(store: JobStore, outbox: Outbox, clock: Clock) -> None:
    ended(store, clock)
    receiver = Receiver(httpx2.Response(503, headers={"Retry-After": "120"}), httpx2.Response(204))

    run(sender_to(receiver, store, outbox, clock), lambda: due_in_s(outbox, clock) == 120)
    clock.forward(120)
    run(sender_to(receiver, store, outbox, clock), lambda: outbox.next_due() is None)

    assert len(receiver.requests) == 2


class Ticking(Clock):
    """Goes on by 0.1 s at each look."""

    def __call__(self) -> datetime:
        self.forward(0.1)
        return self.time


@pytest.mark.parametrize("looks", range(6, 10))
def test_what_becomes_due_between_two_looks_at_the_clock_is_not_overlooked(database: Database, looks: int) -> None:
    clock = Ticking()
    outbox = Outbox(database, clock)
    outbox.add("msg_a", URL, "model_ready", b"{}")
    sender = sender_to(receiver := Receiver(httpx2.Response(204)), JobStore(database, outbox, clock), outbox, clock)
    outbox.retry_at("msg_a", clock.time + timedelta(seconds=looks / 10 + 0.05), "answered 500")

    run(sender, lambda: receiver.requests)


def test_a_receiver_that_is_gone_is_called_no_more(store: JobStore, outbox: Outbox, clock: Clock) -> None:
    ended(store, clock)
    receiver = Receiver(httpx2.Response(410))
    sender = sender_to(receiver, store, outbox, clock)

    run(sender, lambda: outbox.next_due() is None)
    store.retry("a")
    store.cancel("a")

    assert outbox.next_due() is None
    assert len(receiver.requests) == 1


def test_a_url_that_is_gone_hears_no_more_of_the_model_until_it_is_named_again(
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


def test_an_answer_without_an_end_is_not_read(store: JobStore, outbox: Outbox, clock: Clock) -> None:
    ended(store, clock)
    body = Endless()

    run(sender_to(Receiver(httpx2.Response(200, stream=body)), store, outbox, clock), lambda: outbox.next_due() is None)

    assert body.given == 0


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


# What an answer means


@pytest.mark.parametrize(
    ("retry_after", "expected_s"),
    [
        (None, 0),
        ("7", 7),
        ("0", 0),
        ("99999999999", 86_400),
        (format_datetime(NOW + timedelta(minutes=5), usegmt=True), 300),
        (format_datetime(NOW - timedelta(minutes=5), usegmt=True), 0),
        ("-5", 0),
        ("soon", 0),
        ("٣", 0),
    ],
)
def test_retry_after_is_seconds_or_a_date(retry_after: str | None, expected_s: float) -> None:
    headers = [] if retry_after is None else [(b"Retry-After", retry_after.encode())]

    failure = failure_of(httpx2.Response(429, headers=headers), NOW)

    assert failure is not None
    assert (failure.retry_after_s, failure.gone) == (expected_s, False)


def test_only_2xx_is_a_success() -> None:
    assert failure_of(httpx2.Response(204), NOW) is None
    for status in (199, 300, 304, 400, 410, 500):
        assert failure_of(httpx2.Response(status), NOW) is not None


def test_tries_end_after_three_days_and_vary_a_little() -> None:
    delays = [next_delay("job", failed, lambda: 0.5) for failed in range(12)]

    assert delays[:3] == [1, 2, 30]
    assert delays[11] is None
    assert 2.9 < sum(delay or 0 for delay in delays) / 86_400 < 3.3
    assert [next_delay("job", 2, lambda: 0), next_delay("job", 2, lambda: 1)] == [27, 33]
    assert next_delay("model_ready", 2) is None


# Signatures


def as_text(key: bytes) -> str:
    return "whsec_" + base64.b64encode(key).decode()


def test_the_official_verifier_takes_our_signatures(store: JobStore, outbox: Outbox, clock: Clock) -> None:
    old, new, other = (secrets.token_bytes(32) for _ in range(3))
    clock.time = datetime.now(UTC)  # the verifier has a clock of its own
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


def test_our_signature_is_the_official_one() -> None:
    key, body = b"k" * 24, '{"è": 1}'

    headers = signature("msg_1", NOW, body.encode(), [key])

    assert headers["webhook-signature"] == Webhook(as_text(key)).sign("msg_1", NOW, body)
    assert signature("msg_1", NOW, b"", []) == {}


def test_a_clock_that_is_set_back_lets_no_receiver_wait(store: JobStore, outbox: Outbox, clock: Clock) -> None:
    ended(store, clock)
    sender = sender_to(Receiver(httpx2.Response(500)), store, outbox, clock)
    run(sender, lambda: outbox.next_due() != clock())
    assert due_in_s(outbox, clock) == 1

    clock.forward(-5 * 3600)
    assert due_in_s(outbox, clock) == 5 * 3600 + 1
    run(sender, lambda: (due_in_s(outbox, clock) or 0) < 2)
    assert due_in_s(outbox, clock) == pytest.approx(1, abs=0.5)


def test_a_full_disk_lets_an_outcome_wait_and_nobody_is_called_again(
    database: Database, store: JobStore, outbox: Outbox, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "STORE_PAUSE_S", 0.01)
    ended(store, clock)
    receiver = Receiver(httpx2.Response(204))
    full: list[None] = []
    database.on_full = lambda: full.append(None)

    with file_size_limit(0):
        run(sender_to(receiver, store, outbox, clock), lambda: len(full) > 2)
    assert len(receiver.requests) == 1
    assert outbox.next_due() is not None


def test_a_full_disk_keeps_news_of_the_model_from_receivers_and_nothing_else(
    store: JobStore, outbox: Outbox, clock: Clock
) -> None:
    sender = sender_to(Receiver(httpx2.Response(204)), store, outbox, clock)
    sender.register(URL)

    with file_size_limit(0):
        sender.announce("model_ready", {})
    assert outbox.next_due() is None
