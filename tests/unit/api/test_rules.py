from __future__ import annotations

import pytest

from scrivano.api.rules import is_open, is_stream, needed, takes_recording
from scrivano.auth.keys import Scope


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
