from __future__ import annotations

import json
from typing import Any

import pytest

from scrivano.api.errors import Problem, error_response, invalid_request, problem_of
from scrivano.api.routing import ErrorFormat
from scrivano.domain.errors import (
    BadParameter,
    JobCancelled,
    JobFailed,
    ModelNotReady,
    QueueFull,
    RecordingRefused,
    ScrivanoError,
)

BROKEN = Problem(status=500, message="it broke", code="internal")


@pytest.mark.parametrize(
    ("format", "body"),
    [
        (ErrorFormat.PLAIN, b'{"error":"it broke"}'),
        (ErrorFormat.TUS, b'{"error":"it broke"}'),
        (
            ErrorFormat.OPENAI,
            b'{"error":{"message":"it broke","type":"server_error","param":null,"code":"internal"}}',
        ),
        (ErrorFormat.EMPTY, b""),
    ],
)
def test_each_protocol_has_its_own_body(format: ErrorFormat, body: bytes) -> None:
    response = error_response(format, BROKEN)

    assert (response.status_code, response.body) == (500, body)
    assert ("Tus-Version" in response.headers) is (format is ErrorFormat.TUS)


@pytest.mark.parametrize(
    ("error", "status", "kind", "code"),
    [
        (BadParameter("stream", "no"), 400, "invalid_request_error", "invalid_value"),
        (RecordingRefused("a", "not_media", "no"), 400, "invalid_request_error", "not_media"),
        (JobCancelled("a"), 410, "invalid_request_error", "job_cancelled"),
        (QueueFull(3, 30), 429, "rate_limit_error", "queue_full"),
        (JobFailed("a", "engine_crashed", "no"), 500, "server_error", "engine_crashed"),
    ],
)
def test_openais_type_follows_from_the_status(error: ScrivanoError, status: int, kind: str, code: str) -> None:
    response = error_response(ErrorFormat.OPENAI, problem_of(error))

    told = json.loads(bytes(response.body))["error"]
    assert (response.status_code, told["type"], told["code"]) == (status, kind, code)


def test_an_error_without_a_body_has_its_reason_in_a_header() -> None:
    response = error_response(ErrorFormat.EMPTY, Problem(status=400, message="no 'Jürgen'\r\nX-A: b" + 1000 * "x"))

    assert response.headers["X-Error"].startswith("no 'J?rgen'??X-A: bx")
    assert len(response.headers["X-Error"]) == 500


def test_who_is_to_come_back_is_told_when_and_who_has_a_job_which() -> None:
    assert problem_of(QueueFull(3, 30)).headers == {"Retry-After": "30"}
    assert problem_of(ModelNotReady("loading", 10)).headers == {"Retry-After": "10"}
    assert problem_of(JobFailed("a", "internal", "no")).headers == {"X-Job-Id": "a"}


@pytest.mark.parametrize(
    ("error", "says", "param"),
    [
        (
            {
                "type": "json_invalid",
                "loc": ("body", 3),
                "msg": "JSON decode error",
                "ctx": {"error": "Expecting value"},
            },
            "the body is no valid JSON (Expecting value at character 3)",
            "body",
        ),
        (
            {"type": "model_attributes_type", "loc": ("body",), "msg": "Input should be a valid dictionary or object"},
            "the body must be a JSON object",
            "body",
        ),
        ({"type": "value_error", "loc": ("body",), "msg": "Value error, send a or b"}, "send a or b", "body"),
        ({"type": "value_error", "loc": ("body", "a"), "msg": "Value error, too long"}, "a: too long", "a"),
        ({"type": "missing", "loc": ("body",), "msg": "Field required"}, "body: Field required", "body"),
        (
            {"type": "string_type", "loc": ("body", "names", "S1"), "msg": "Input should be a valid string"},
            "names.S1: Input should be a valid string",
            "S1",
        ),
    ],
)
def test_an_invalid_request_is_explained_in_plain_words(error: dict[str, Any], says: str, param: str) -> None:
    assert invalid_request([error]) == Problem(status=400, message=says, code="invalid_value", param=param)
