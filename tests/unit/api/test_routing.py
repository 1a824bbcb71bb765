"""What the application's routes declare, and what a request without a route gets."""

from __future__ import annotations

import asyncio

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import Message, Receive, Send
from starlette.types import Scope as AsgiScope

from scrivano.api.app import create_app
from scrivano.api.routing import ErrorFormat, RouteMatching, RoutePolicy, Router, policy_of, template_of
from scrivano.auth.keys import Scope

ROUTES = [*create_app(None).routes, Mount("/mounted", Starlette())]  # type: ignore[arg-type]  # no request is made
FORMATS = {"/v1": ErrorFormat.OPENAI}


def policy(method: str, path: str) -> RoutePolicy:
    found = []

    async def inner(scope: AsgiScope, receive: Receive, send: Send) -> None:
        found.append(policy_of(scope))

    async def receive() -> Message:
        raise NotImplementedError

    async def send(message: Message) -> None:
        raise NotImplementedError

    scope = {"type": "http", "method": method, "path": path, "headers": []}
    asyncio.run(RouteMatching(inner, ROUTES, FORMATS)(scope, receive, send))
    return found[0]


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
    assert set(policy(method, path).scopes or ()) == scopes


@pytest.mark.parametrize("path", ["/jobs", "/metrics", "/health/", "/healthy", "/assets", "//health", "/docs/x", ""])
def test_what_only_looks_like_an_open_path_is_closed(path: str) -> None:
    assert policy("GET", path).scopes is not None
    assert policy("GET", "/health").scopes is None


def test_only_recordings_may_be_large_and_only_events_go_on() -> None:
    assert policy("POST", "/jobs").takes_recording
    assert policy("PATCH", "/uploads/1").takes_recording
    assert policy("POST", "/load").takes_recording
    assert not policy("POST", "/webhooks/test").takes_recording
    assert not policy("GET", "/jobs").takes_recording
    assert policy("GET", "/jobs/1/stream").event_stream
    assert policy("GET", "/model/events").event_stream
    assert not policy("GET", "/jobs/stream1").event_stream


@pytest.mark.parametrize(
    ("path", "format"),
    [
        ("/jobs/1", ErrorFormat.PLAIN),
        ("/status", ErrorFormat.PLAIN),
        ("/asr", ErrorFormat.EMPTY),
        ("/asr/x", ErrorFormat.PLAIN),
        ("/v1/models", ErrorFormat.OPENAI),
        ("/v1/x", ErrorFormat.OPENAI),
        ("/v12", ErrorFormat.PLAIN),
        ("/uploads", ErrorFormat.TUS),
    ],
)
def test_an_error_has_the_format_of_its_protocol(path: str, format: ErrorFormat) -> None:
    assert policy("GET", path).errors is format
    assert policy("PUT", path).errors is format


def test_a_wrong_method_is_judged_by_the_path() -> None:
    assert policy("PUT", "/jobs") == RoutePolicy(scopes=frozenset({Scope.SUBMIT}))
    assert policy("PUT", "/health") == RoutePolicy(scopes=None)


def test_what_is_mounted_needs_an_admin_key() -> None:
    assert policy("GET", "/mounted/x").scopes == frozenset({Scope.ADMIN})


def test_a_route_without_a_declaration_cannot_be_added() -> None:
    def undeclared() -> None: ...

    with pytest.raises(TypeError, match="/new"):
        Router(tag="test").get("/new")(undeclared)
    with pytest.raises(TypeError, match="/new"):
        create_app(None).get("/new")(undeclared)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("method", "path", "template"),
    [
        ("GET", "/jobs/1", "/jobs/{job_id}"),
        ("PUT", "/jobs/1", "/jobs/{job_id}"),
        ("HEAD", "/jobs/1/transcript", "/jobs/{job_id}/transcript"),
        ("POST", "/v1/audio/transcriptions", "/v1/audio/transcriptions"),
        ("GET", "/nowhere", None),
    ],
)
def test_a_route_is_known_before_it_runs(method: str, path: str, template: str | None) -> None:
    """A request that is refused before its route runs is counted for that route."""
    found = []

    async def inner(scope: AsgiScope, receive: Receive, send: Send) -> None:
        found.append(template_of(scope))

    scope = {"type": "http", "method": method, "path": path, "headers": []}
    asyncio.run(RouteMatching(inner, ROUTES, FORMATS)(scope, None, None))  # type: ignore[arg-type]  # not called

    assert found == [template]
