"""Calls that take longer than a proxy waits, with times of milliseconds."""

from __future__ import annotations

import asyncio
import json
from typing import Any, cast

import pytest

from scrivano.api.long_calls import LongCalls
from scrivano.api.routing import ErrorFormat
from scrivano.domain.errors import JobFailed, RecordingRefused
from scrivano.submission.waiter import Waiter


class FakeWaiter:
    def __init__(self, *, readable: bool = True) -> None:
        self.readable = readable

    async def is_readable(self, job_id: str) -> bool:
        return self.readable


def called(
    result: str | Exception,
    *,
    early: int = 0,
    takes_s: float = 0.0,
    after_s: float = 0.01,
    readable: bool = True,
    errors: ErrorFormat | None = ErrorFormat.OPENAI,
) -> list[dict[str, Any]]:
    """The messages of the response, as the HTTP server gets them.

    The content is complete so many seconds after so many messages were sent `early`.
    """

    async def content() -> str:
        while len(sent) < early:
            await asyncio.sleep(0.001)
        await asyncio.sleep(takes_s)
        if isinstance(result, Exception):
            raise result
        return result

    async def receive() -> Any:
        await asyncio.Event().wait()

    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def run() -> None:
        waiter = cast(Waiter, FakeWaiter(readable=readable))
        calls = LongCalls(waiter=waiter, keepalive_after_s=after_s, interval_s=0.02)
        response = await calls.respond("a", content(), media_type="application/json", errors=errors)
        assert response.headers["X-Job-Id"] == "a"
        await response({"type": "http", "asgi": {"spec_version": "2.3"}}, receive, send)

    asyncio.run(run())
    return sent


def body(sent: list[dict[str, Any]]) -> bytes:
    return b"".join(message.get("body", b"") for message in sent)


def test_white_space_comes_before_json_that_takes_long() -> None:
    sent = called('{"text":"a"}', early=4)

    assert sent[0]["status"] == 200
    assert body(sent).startswith(b"   ")
    assert json.loads(body(sent)) == {"text": "a"}


@pytest.mark.parametrize(
    "options",
    [
        {"after_s": 60.0},
        {"takes_s": 0.1, "after_s": 0.0},
        {"takes_s": 0.1, "readable": False},
        {"takes_s": 0.1, "errors": None},
    ],
    ids=["soon", "off", "not readable yet", "not json"],
)
def test_otherwise_nothing_comes_before_the_content(options: dict[str, Any]) -> None:
    sent = called('{"text":"a"}', **options)

    assert body(sent) == b'{"text":"a"}'
    assert (b"content-length", b"12") in sent[0]["headers"]


@pytest.mark.parametrize(
    ("errors", "error", "told"),
    [
        (
            ErrorFormat.OPENAI,
            JobFailed("a", "engine_crashed", "no"),
            {"type": "server_error", "code": "engine_crashed"},
        ),
        (ErrorFormat.OPENAI, ValueError("secret"), {"type": "server_error", "code": "internal"}),
    ],
)
def test_an_error_after_the_start_is_in_the_body(errors: ErrorFormat, error: Exception, told: dict[str, str]) -> None:
    error_body = json.loads(body(called(error, early=2, errors=errors)))["error"]

    assert {name: error_body[name] for name in told} == told
    assert "secret" not in error_body["message"]


def test_an_error_after_the_start_has_each_interfaces_form() -> None:
    refused = RecordingRefused("a", "not_media", "no")

    assert set(json.loads(body(called(refused, early=2, errors=ErrorFormat.PLAIN)))) == {"error"}


@pytest.mark.parametrize("options", [{}, {"takes_s": 0.1, "readable": False}, {"takes_s": 0.1, "errors": None}])
def test_an_error_before_the_start_has_its_status(options: dict[str, Any]) -> None:
    with pytest.raises(RecordingRefused):
        called(RecordingRefused("a", "not_media", "no"), **{"after_s": 60.0, **options})
