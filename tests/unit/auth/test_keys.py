"""API keys: what proves one, what it may do, and how much of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers

from scrivano.api.middleware.authorization import key_shown
from scrivano.api.middleware.security_headers import page_policy
from scrivano.api.rules import is_open, is_stream, needed, takes_recording
from scrivano.auth.keys import Caller, Key, Scope, new_secret, prove, sha256_of
from scrivano.auth.rate_limit import RateLimiter

NOW = datetime(2030, 1, 2, 3, 4, 5, 678, tzinfo=UTC)
SECRET = "scv_" + "aB3-" * 10 + "xYz"
KEY = Key(id="a1", name="one", sha256=sha256_of(SECRET), scopes=frozenset({Scope.READ}), created_at=NOW)


# Proof and scopes


def test_a_secret_is_long_random_and_known_for_what_it_is() -> None:
    assert SECRET.startswith("scv_")
    assert len(SECRET) == 4 + 43  # 256 bits in base64
    assert new_secret() != SECRET


@pytest.mark.parametrize("other", ["", "scv_", SECRET[:-1], SECRET + "A", SECRET.swapcase(), "\udc80\xff", KEY.sha256])
def test_only_its_secret_proves_a_key(other: str) -> None:
    keys = {KEY.sha256: KEY}

    assert prove(keys, SECRET) is KEY
    assert prove(keys, other) is None


@pytest.mark.parametrize(
    ("scopes", "wanted", "may"),
    [
        ({Scope.READ}, {Scope.READ}, True),
        ({Scope.READ}, {Scope.SUBMIT, Scope.READ}, True),
        ({Scope.READ}, {Scope.SUBMIT}, False),
        ({Scope.READ, Scope.SUBMIT}, {Scope.ADMIN}, False),
        ({Scope.ADMIN}, {Scope.SUBMIT}, True),
        (set(), {Scope.READ}, False),
    ],
)
def test_a_key_may_do_what_one_of_its_scopes_allows(scopes: set[Scope], wanted: set[Scope], may: bool) -> None:
    assert replace(KEY, scopes=frozenset(scopes)).may(wanted) is may


def test_a_key_sees_its_own_jobs_and_an_admins_key_all() -> None:
    assert Caller.with_key(KEY).sees == KEY.id
    admin = Caller.with_key(replace(KEY, scopes=frozenset({Scope.ADMIN})))
    assert (admin.owner, admin.sees) == (KEY.id, None)


@pytest.mark.parametrize(
    ("headers", "shown"),
    [
        ({}, None),
        ({"Authorization": "Bearer a"}, "a"),
        ({"Authorization": "bEARER   a "}, "a"),
        ({"Authorization": "Basic a"}, None),
        ({"Authorization": "a"}, None),
        ({"X-API-Key": "b"}, "b"),
        ({"X-API-Key": "b", "Authorization": "Bearer a"}, "b"),
        ({"X-API-Key": "", "Authorization": "Bearer a"}, "a"),
    ],
)
def test_a_key_is_shown_in_either_header(headers: dict[str, str], shown: str | None) -> None:
    assert key_shown(Headers(headers)) == shown


# Rules


@pytest.mark.parametrize(
    ("method", "path", "scopes"),
    [
        ("POST", "/jobs", {Scope.SUBMIT}),
        ("DELETE", "/jobs/1", {Scope.SUBMIT}),
        ("POST", "/jobs/1/retry", {Scope.SUBMIT}),
        ("POST", "/v1/audio/transcriptions", {Scope.SUBMIT}),
        ("POST", "/asr", {Scope.SUBMIT}),
        ("POST", "/inference", {Scope.SUBMIT}),
        ("HEAD", "/uploads/1", {Scope.SUBMIT}),
        ("PATCH", "/uploads/1", {Scope.SUBMIT}),
        ("GET", "/jobs", {Scope.READ}),
        ("HEAD", "/jobs/1/audio", {Scope.READ}),
        ("GET", "/jobs/1/stream", {Scope.READ}),
        ("GET", "/metrics", {Scope.READ}),
        ("GET", "/model/status", {Scope.READ, Scope.SUBMIT}),
        ("GET", "/v1/models/a/b", {Scope.READ, Scope.SUBMIT}),
        ("POST", "/model/load", {Scope.ADMIN}),
        ("POST", "/model/unload", {Scope.ADMIN}),
        ("POST", "/load", {Scope.ADMIN}),
        ("POST", "/webhooks/test", {Scope.ADMIN}),
        ("GET", "/webhooks/deliveries", {Scope.READ}),
        ("GET", "/what/comes/later", {Scope.READ}),
        ("POST", "/jobsomething", {Scope.ADMIN}),
    ],
)
def test_each_request_needs_a_scope(method: str, path: str, scopes: set[Scope]) -> None:
    assert needed(method, path) == scopes


@pytest.mark.parametrize("path", ["/jobs", "/metrics", "/health/", "/healthy", "/assets", "//health", "/docs/x", ""])
def test_what_only_looks_like_an_open_path_is_closed(path: str) -> None:
    assert not is_open(path)


def test_only_recordings_may_be_large_and_only_events_go_on() -> None:
    assert takes_recording("POST", "/jobs")
    assert takes_recording("PATCH", "/uploads/1")
    assert not takes_recording("POST", "/webhooks/test")
    assert not takes_recording("GET", "/jobs")
    assert is_stream("GET", "/jobs/1/stream")
    assert is_stream("GET", "/model/events")
    assert not is_stream("GET", "/jobs/stream1")


def test_a_page_runs_only_the_scripts_that_it_came_with() -> None:
    policy = page_policy("<script src='/x.js'></script><script>a()</script>")

    assert "script-src 'self' 'sha256-qVpDBgj7bpq5hMAcGp3AOc79J3Y1Z4HvySTwKrWDoy4=';" in policy
    assert "'unsafe-inline'" not in policy.split("style-src")[0]


# Limits


class Clock:
    def __init__(self) -> None:
        self.secs = 100.0

    def __call__(self) -> float:
        return self.secs


def test_a_minutes_requests_may_come_at_once_and_come_back_evenly() -> None:
    clock = Clock()
    limiter = RateLimiter(clock)

    assert [limiter.wait_secs("a", 3) for _ in range(4)] == [0, 0, 0, 20]
    assert limiter.wait_secs("b", 3) == 0
    clock.secs += 19
    assert limiter.wait_secs("a", 3) == pytest.approx(1)
    clock.secs += 1
    assert limiter.wait_secs("a", 3) == 0
    clock.secs += 3600
    assert [limiter.wait_secs("a", 3) > 0 for _ in range(4)] == [False, False, False, True]


@given(st.integers(1, 1000), st.lists(st.floats(0, 30), max_size=200))
def test_no_more_is_admitted_than_a_minutes_and_what_time_brought(per_minute: int, pauses: list[float]) -> None:
    clock = Clock()
    limiter = RateLimiter(clock)
    admitted, began = 0, clock.secs
    for pause in pauses:
        clock.secs += pause
        if wait := limiter.wait_secs("a", per_minute):
            clock.secs += wait
            assert limiter.wait_secs("a", per_minute) == 0
        admitted += 1

    assert admitted <= per_minute + (clock.secs - began) * per_minute / 60 + 0.01


def test_streams_are_counted_by_key_until_they_are_closed() -> None:
    limiter = RateLimiter(Clock())

    assert limiter.open_stream("a", 1)
    assert not limiter.open_stream("a", 1)
    assert limiter.open_stream("b", 1)
    assert limiter.open_stream("a", None)
    limiter.close_stream("a")
    limiter.close_stream("a")
    assert limiter.open_stream("a", 1)
