"""Schemathesis over the whole OpenAPI document: whatever is sent, no server error, and no undocumented answer.

The suite tries few requests, the same on every run. `make schemathesis` tries thousands more.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest
import requests
import schemathesis
from schemathesis import Case
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from served import Served, served

from scrivano.api.app import create_app

# For each route and kind of data; 0: the suite's few.
EXAMPLES = int(os.environ.get("SCHEMATHESIS_EXAMPLES", "0"))

CONFIG = schemathesis.Config.from_dict(
    {
        "generation": {"max-examples": EXAMPLES or 3, "deterministic": True, "database": "none", "no-shrink": True},
        "phases": {"coverage": {"enabled": EXAMPLES > 0}, "stateful": {"enabled": False}},
    }
)
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
TRIED = count()


class Session(requests.Session):
    """Of a stream of events, which need not end, only the beginning is read."""

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        response = super().send(request, **options | {"stream": True})
        if response.headers.get("Content-Type", "").startswith("text/event-stream"):
            response._content = b""
            response.close()
        else:
            response.content  # noqa: B018  reads it
        return response


@schemathesis.serializer("application/offset+octet-stream")
def serialize(ctx: schemathesis.SerializationContext, value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("openapi")
    with served(folder, ADMISSION="queue", ALLOW_NETWORKS="none") as server:
        server.load()
        yield server
        print(f"\n{next(TRIED)} requests tried")


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    with Session() as session:
        yield session


DOCUMENT = schemathesis.openapi.from_dict(create_app(None).openapi(), config=CONFIG)  # type: ignore[arg-type]


@DOCUMENT.parametrize()
def test_every_answer_is_documented_and_none_is_a_server_error(
    case: Case[Any], server: Served, session: Session
) -> None:
    number = next(TRIED)
    if number % 2:
        point_at_something(case, server)
    response = case.call(server.url, session, timeout=60)
    case.validate_response(response, checks=CHECKS)


def point_at_something(case: Case[Any], server: Served) -> None:
    """What is made up names nothing that is there."""
    if "job_id" in case.path_parameters:
        case.path_parameters["job_id"] = server.submit("en-exact-0.flac")
    if "upload_id" in case.path_parameters:
        headers = {"Tus-Resumable": "1.0.0", "Upload-Length": "100"}
        where = server.http.post("/uploads", headers=headers).headers["Location"]
        case.path_parameters["upload_id"] = where.rpartition("/")[2]
    if "model_id" in case.path_parameters:
        case.path_parameters["model_id"] = "whisper-1"
