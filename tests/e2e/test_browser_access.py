"""What pages and front-end developers rely on: allowed origins, tokens in URLs, events as OpenAPI describes them."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from served import Served, start, until

from scrivano.api.event_schemas import JobEvent, ModelEvent
from scrivano.auth.keys import Limits, Scope, add_key

ORIGIN = {"Origin": "http://localhost:5173"}
SERVE = (sys.executable, "-m", "scrivano", "serve", "--dev")


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("keys") / "keys.json"


@pytest.fixture(scope="module")
def secret(keys: Path) -> str:
    return add_key(keys, "admin", [Scope.ADMIN], Limits(), datetime.now(UTC))[1]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, keys: Path, secret: str) -> Iterator[Served]:
    server = Served(start(tmp_path_factory.mktemp("data"), SERVE, API_KEYS_FILE=str(keys), ADMISSION="queue"))
    server.http.headers["X-API-Key"] = secret
    yield server
    server.close()


def events_of(server: Served, path: str, last: str, **request: Any) -> list[dict[str, Any]]:
    """The events of a stream up to one of the type `last`."""
    events: list[dict[str, Any]] = []
    with server.http.stream("GET", path, **request) as answer:
        assert answer.status_code == 200
        for line in answer.iter_lines():
            if line.startswith("data: "):
                events.append(json.loads(line.removeprefix("data: ")))
                if events[-1]["type"] == last:
                    break
    return events


def test_a_development_server_takes_calls_from_pages_of_this_machine(server: Served) -> None:
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    preflight = server.http.options("/jobs", headers={**ORIGIN, **asked})

    assert preflight.headers["Access-Control-Allow-Origin"] == ORIGIN["Origin"]
    assert server.http.get("/health", headers=ORIGIN).headers["Access-Control-Allow-Origin"] == ORIGIN["Origin"]
    stranger = server.http.get("/health", headers={"Origin": "https://app.example.org"})
    assert "Access-Control-Allow-Origin" not in stranger.headers


def described(model: type[BaseModel], event: dict[str, Any]) -> Any:
    return model.model_validate(event).model_dump(mode="json", exclude_unset=True)


def test_every_event_is_as_openapi_describes_it(server: Served) -> None:
    job_id = server.submit("en-exact-0.flac")
    server.ended(job_id)
    of_job = events_of(server, f"/jobs/{job_id}/stream", "done", headers={"Last-Event-ID": "0"})
    of_model = events_of(server, "/model/events", "model_ready", headers={"Last-Event-ID": "0"})

    assert {event["type"] for event in of_job} == {"progress", "language", "segment", "done"}
    assert {event["type"] for event in of_model} == {"model_loading", "model_ready"}
    assert [described(JobEvent, event) for event in of_job] == of_job
    assert [described(ModelEvent, event) for event in of_model] == of_model


def test_a_failed_jobs_events_are_as_openapi_describes_them(server: Served) -> None:
    answer = server.http.post("/jobs", files={"audio": ("a", b"no recording")})
    job_id = answer.json()["job_id"]
    server.ended(job_id)
    events = events_of(server, f"/jobs/{job_id}/stream", "error", headers={"Last-Event-ID": "0"})

    assert (events[-1]["type"], events[-1]["code"]) == ("error", "not_media")
    assert [described(JobEvent, event) for event in events] == events


def test_a_stream_token_opens_the_stream_of_its_job_and_is_never_logged(server: Served, secret: str) -> None:
    job_id = server.submit("en-exact-0.flac")
    server.ended(job_id)
    token = server.http.post("/stream-tokens", json={"job_id": job_id}).json()["token"]
    no_key = {"X-API-Key": ""}

    events = events_of(server, f"/jobs/{job_id}/stream?token={token}", "done", headers=no_key)
    assert events[-1]["job"]["id"] == job_id
    assert server.http.get(f"/model/events?token={token}", headers=no_key).status_code == 401
    assert server.http.get(f"/jobs/{job_id}?token={token}", headers=no_key).status_code == 401
    until(lambda: any(line.get("path") == f"/jobs/{job_id}" for line in server.log))
    assert token not in json.dumps(server.log)
    assert secret not in json.dumps(server.log)
