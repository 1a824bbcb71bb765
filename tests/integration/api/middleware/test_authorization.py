"""What goes around all routes: who may come in, what the answer's header says, whose pages may call."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from built import built
from fastapi import FastAPI, Request
from served import until
from starlette.testclient import TestClient

from scrivano.api.app import HttpOptions, create_app
from scrivano.api.routing import Router
from scrivano.auth.key_ring import KeyRing
from scrivano.auth.keys import Limits, Scope, add_key
from scrivano.domain.errors import StartError
from scrivano.server.settings import Settings


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


def new_key(keys: Path, *scopes: Scope, **limits: Any) -> dict[str, str]:
    """The header of a new key."""
    name = f"key {len(keys.read_text()) if keys.exists() else 0}"
    secret = add_key(keys, name, scopes, Limits(**limits), datetime.now(UTC))[1]
    return {"Authorization": f"Bearer {secret}"}


@pytest.fixture
def reader(keys: Path) -> dict[str, str]:
    return new_key(keys, Scope.READ)


@pytest.fixture
def app(tmp_path: Path, keys: Path, reader: dict[str, str]) -> Iterator[FastAPI]:
    with built(data_dir=tmp_path, api_keys_file=keys) as app:
        yield app


OPEN_PATHS = {
    "/",
    "/docs",
    "/health",
    "/livez",
    "/openapi.json",
    "/readyz",
    "/assets/page/{path:path}",
    "/assets/swagger/{path:path}",
}


def test_every_route_is_open_or_refuses_whoever_has_no_key(app: FastAPI) -> None:
    found = {(method, route.path) for route in app.routes for method in route.methods}  # type: ignore[attr-defined]
    assert {("POST", "/jobs"), ("GET", "/jobs/{job_id}/stream"), ("GET", "/docs")} <= found
    assert {path for _, path in found} > OPEN_PATHS

    with TestClient(app) as client:
        for method, template in found:
            if template in OPEN_PATHS:
                continue
            path = re.sub(r"{[^}]+}", "x", template)
            answer = client.request(method, path)
            assert answer.status_code == 401, (method, path)
            assert answer.headers["WWW-Authenticate"].startswith("Bearer")
            wrong = client.request(method, path, headers={"X-API-Key": "scv_wrong"})
            assert (wrong.status_code, 'error="invalid_token"' in wrong.headers["WWW-Authenticate"]) == (401, True)


def test_open_are_health_and_the_documentation_and_nothing_else(app: FastAPI) -> None:
    with TestClient(app) as client:
        for path in ("/health", "/docs", "/openapi.json", "/assets/swagger/swagger-ui.css"):
            assert client.get(path).status_code == 200
        for path in ("/what/comes/later", "/assets", "/jobs/", "/%2e%2e/jobs", "/assets/../jobs"):
            assert client.get(path).status_code in (401, 404), path
        assert client.get("/what/comes/later").status_code == 401


def test_a_wrong_method_of_an_open_path_needs_no_key(app: FastAPI) -> None:
    with TestClient(app) as client:
        assert client.put("/health").status_code == 405
        assert client.put("/jobs").status_code == 401


@pytest.mark.parametrize(
    ("path", "body"),
    [("/jobs", {"error"}), ("/inference", {"error"}), ("/v1/audio/transcriptions", {"error"}), ("/asr", set())],
)
def test_a_refusal_looks_as_each_protocol_has_it(app: FastAPI, path: str, body: set[str]) -> None:
    with TestClient(app) as client:
        answer = client.post(path, headers={"Authorization": "Bearer sk-nothing"})

    assert answer.status_code == 401
    assert set(answer.json() if answer.content else {}) == body
    if path.startswith("/v1/"):
        assert answer.json()["error"]["code"] == "invalid_api_key"


def test_a_key_sees_its_own_jobs_deliveries_and_an_admin_all(app: FastAPI, keys: Path, reader: dict[str, str]) -> None:
    admin, owner = new_key(keys, Scope.ADMIN), new_key(keys, Scope.READ, Scope.SUBMIT)
    url = "https://hooks.test/a"
    with TestClient(app) as client:
        until(lambda: client.get("/jobs", headers=owner).status_code == 200)  # the new keys are known
        form: dict[str, Any] = {
            "files": {"audio": ("a", b"no recording")},
            "data": {"webhook_url": url, "queue": "true"},
        }
        answer = client.post("/jobs", headers=owner, **form)
        assert answer.status_code == 202, answer.text
        job_id = answer.json()["job_id"]
        client.delete(f"/jobs/{job_id}", headers=owner)
        app.state.services.outbox.add("msg_model", url, "model_ready", b"{}")

        def listed(headers: dict[str, str], **query: str) -> set[str]:
            answer = client.get("/webhooks/deliveries", headers=headers, params=query)
            return {one["id"] for one in answer.json()["deliveries"]}

        until(lambda: listed(owner) == {f"msg_{job_id}"})
        assert listed(reader) == listed(reader, job_id=job_id) == set()
        assert listed(admin) >= {f"msg_{job_id}", "msg_model"}
        for path in (f"/webhooks/deliveries/msg_{job_id}/redeliver", "/webhooks/test"):
            assert client.post(path, headers=owner, json={"url": url}).status_code == 403
        assert client.get("/metrics", headers=reader).status_code == 200


def test_a_key_without_the_scope_is_told_which(app: FastAPI, reader: dict[str, str]) -> None:
    with TestClient(app) as client:
        answer = client.post("/jobs", headers=reader)

    assert answer.status_code == 403
    assert "submit" in answer.json()["error"]
    assert 'scope="submit"' in answer.headers["WWW-Authenticate"]


def test_a_key_in_the_query_is_none(app: FastAPI, reader: dict[str, str]) -> None:
    secret = reader["Authorization"].split()[1]
    with TestClient(app) as client:
        assert client.get("/jobs", params={"api_key": secret, "key": secret}).status_code == 401


def test_requests_are_limited_by_key(app: FastAPI, keys: Path, reader: dict[str, str]) -> None:
    few = new_key(keys, Scope.READ, requests_per_minute=2)
    app = create_app(app.state.services, options=HttpOptions(keys=KeyRing(keys)))
    with TestClient(app) as client:
        statuses = [client.get("/model/status", headers=few).status_code for _ in range(3)]
        refused = client.get("/v1/models", headers=few)
        assert client.get("/model/status", headers=reader).status_code == 200
        assert client.get("/health", headers=few).status_code == 200

    assert statuses == [200, 200, 429]
    assert (refused.status_code, refused.json()["error"]["type"]) == (429, "rate_limit_error")
    assert 1 <= int(refused.headers["Retry-After"]) <= 30


def test_what_a_key_got_is_for_no_shared_cache(app: FastAPI, reader: dict[str, str]) -> None:
    with TestClient(app) as client:
        assert client.get("/jobs", headers=reader).headers["Cache-Control"] == "private"


def test_without_keys_all_is_open_as_ever_and_a_bearer_means_nothing(tmp_path: Path) -> None:
    with built(data_dir=tmp_path) as app, TestClient(app) as client:
        answer = client.get("/jobs", headers={"Authorization": "Bearer sk-nothing"})
        assert (answer.status_code, "Cache-Control" in answer.headers) == (200, False)
        assert "securitySchemes" not in client.get("/openapi.json").json()["components"]


@pytest.mark.parametrize("networks", [None, "127.0.0.0/8"])
def test_with_keys_private_networks_are_closed_unless_named(
    tmp_path: Path, keys: Path, reader: dict[str, str], networks: str | None
) -> None:
    submit = new_key(keys, Scope.SUBMIT)
    settings = {"api_keys_file": keys, "allow_networks": networks, "admission": "queue"}
    form = {"audio_url": "http://127.0.0.1:9/a.wav"}
    with built(data_dir=tmp_path, **settings) as app, TestClient(app) as client:
        answer = client.post("/jobs", data=form, files={"none": b""}, headers=submit)

    assert answer.status_code == 400
    assert ("ALLOW_NETWORKS" in answer.json()["error"]) is (networks is None)


def test_wyoming_beside_keys_is_for_this_machine_only(tmp_path: Path, keys: Path, reader: dict[str, str]) -> None:
    from scrivano.server.sockets import bind_wyoming

    settings = {"data_dir": tmp_path, "api_keys_file": keys, "host": "0.0.0.0", "wyoming_port": 0}
    with ExitStack() as cleanup:
        with pytest.raises(StartError, match="WYOMING_HOST"):
            bind_wyoming(Settings.load(settings, environ={}), cleanup)
        at_home = Settings.load({**settings, "wyoming_host": "127.0.0.1"}, environ={})
        assert bind_wyoming(at_home, cleanup) is not None
        without = Settings.load({**settings, "api_keys_file": None}, environ={})
        assert bind_wyoming(without, cleanup) is not None


# The documentation


def test_the_documentation_says_what_each_route_needs(app: FastAPI) -> None:
    document = app.openapi()
    submit = document["paths"]["/jobs"]["post"]

    assert set(document["components"]["securitySchemes"]) == {"bearer", "key", "stream_token"}
    assert submit["security"] == [{"bearer": []}, {"key": []}]
    stream = document["paths"]["/jobs/{job_id}/stream"]["get"]
    assert stream["security"] == [{"bearer": []}, {"key": []}, {"stream_token": []}]
    assert {"401", "403", "408", "429"} <= set(submit["responses"])
    assert document["paths"]["/health"]["get"]["security"] == []
    assert "401" not in document["paths"]["/health"]["get"]["responses"]
    assert "OpenAIErrorResponse" in str(document["paths"]["/v1/audio/transcriptions"]["post"]["responses"]["400"])


def test_the_documentation_can_be_turned_off() -> None:
    with TestClient(create_app(None, options=HttpOptions(docs=False, page=False))) as client:  # type: ignore[arg-type]  # none is needed
        for path in ("/", "/docs", "/openapi.json", "/assets/swagger/swagger-ui.css"):
            assert (client.get(path).status_code, set(client.get(path).json())) == (404, {"error"})


def test_the_page_can_be_turned_off_or_be_there_without_the_documentation() -> None:
    with TestClient(create_app(None, options=HttpOptions(page=False))) as client:  # type: ignore[arg-type]
        assert client.get("/", follow_redirects=False).headers["Location"] == "docs"
        assert client.get("/assets/page/icon.svg").status_code == 404
    with TestClient(create_app(None, options=HttpOptions(docs=False))) as client:  # type: ignore[arg-type]
        assert client.get("/", headers={"Accept": "application/json"}).status_code == 200
        assert client.get("/docs").status_code == 404


# Headers

POLICY = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"


def test_every_answer_has_security_headers(app: FastAPI, reader: dict[str, str]) -> None:
    @app.get("/broken")
    @Router(tag="test").requires(Scope.READ)
    def broken() -> None:
        raise ZeroDivisionError

    with TestClient(app, raise_server_exceptions=False) as client:
        for path, status in [("/health", 200), ("/jobs", 401), ("/nowhere", 404), ("/broken", 500), ("/docs", 200)]:
            answer = client.get(path, headers={} if status == 401 else reader)
            assert answer.status_code == status
            headers = {name: answer.headers[name] for name in ("X-Content-Type-Options", "Referrer-Policy")}
            assert headers == {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}
            assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
            assert answer.headers.get_list("Content-Security-Policy") == [answer.headers["Content-Security-Policy"]]
            assert answer.headers["Content-Security-Policy"].startswith(POLICY)


@pytest.mark.parametrize(
    ("ancestors", "policy", "options"),
    [((), "'none'", "DENY"), (("self",), "'self'", "SAMEORIGIN"), (("https://a.example",), "https://a.example", None)],
)
def test_every_answer_says_which_pages_may_show_it_in_a_frame(
    ancestors: tuple[str, ...], policy: str, options: str | None
) -> None:
    with TestClient(create_app(None, options=HttpOptions(frame_ancestors=ancestors))) as client:  # type: ignore[arg-type]
        for path in ("/", "/docs", "/openapi.json", "/nowhere"):
            headers = client.get(path).headers
            assert f"; frame-ancestors {policy};" in headers["Content-Security-Policy"]
            assert headers.get("X-Frame-Options") == options


ORIGIN = "https://app.example"


@pytest.fixture
def shared(app: FastAPI, keys: Path) -> Iterator[TestClient]:
    with TestClient(
        create_app(app.state.services, options=HttpOptions(keys=KeyRing(keys), origins=[ORIGIN]))
    ) as client:
        yield client


def test_a_preflight_needs_no_key(shared: TestClient) -> None:
    asked = {"Origin": ORIGIN, "Access-Control-Request-Method": "PATCH", "Access-Control-Request-Headers": "x-api-key"}
    answer = shared.options("/uploads/1", headers=asked)

    assert answer.status_code == 200
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert "PATCH" in answer.headers["Access-Control-Allow-Methods"]
    assert answer.headers["Access-Control-Allow-Headers"] == "x-api-key"
    assert shared.options("/jobs", headers={**asked, "Origin": "https://evil.example"}).status_code == 400


def test_an_allowed_origin_may_read_answers_and_errors(shared: TestClient, reader: dict[str, str]) -> None:
    for headers in (reader, {}):
        answer = shared.get("/jobs", headers={**headers, "Origin": ORIGIN})
        assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
        exposed = set(answer.headers["Access-Control-Expose-Headers"].split(", "))
        assert {"Location", "Retry-After", "Tus-Resumable", "Upload-Offset", "Upload-Length", "X-Job-Id"} <= exposed
        assert answer.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
    stranger = shared.get("/jobs", headers={**reader, "Origin": "https://evil.example"})
    assert "Access-Control-Allow-Origin" not in stranger.headers


def test_no_origin_is_allowed_unless_set(app: FastAPI, reader: dict[str, str]) -> None:
    with TestClient(app) as client:
        assert "Access-Control-Allow-Origin" not in client.get("/jobs", headers={**reader, "Origin": ORIGIN}).headers


# Methods and bodies


def test_a_wrong_method_is_told_all_right_ones(app: FastAPI, keys: Path) -> None:
    admin = new_key(keys, Scope.ADMIN)
    app = create_app(app.state.services, options=HttpOptions(keys=KeyRing(keys)))
    with TestClient(app) as client:
        for path, allowed in [
            ("/jobs", "GET, POST"),
            ("/jobs/x", "GET, DELETE"),
            ("/jobs/x/audio", "GET, HEAD"),
            ("/health", "GET, HEAD"),
            ("/asr", "POST"),
        ]:
            answer = client.put(path, headers=admin)
            assert (answer.status_code, answer.headers["Allow"]) == (405, allowed)


def test_a_head_is_like_its_get_without_a_body(app: FastAPI) -> None:
    with TestClient(app) as client:
        got, head = client.get("/health"), client.head("/health")

    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["Content-Length"] == got.headers["Content-Length"]


def test_a_body_without_a_recording_must_be_small(app: FastAPI, keys: Path) -> None:
    admin = new_key(keys, Scope.ADMIN)
    app = create_app(app.state.services, options=HttpOptions(keys=KeyRing(keys)))

    @app.post("/settings")
    @Router(tag="test").requires(Scope.ADMIN)
    async def body(request: Request) -> int:
        return len(await request.body())

    with TestClient(app) as client:
        assert client.post("/settings", headers=admin, content=b"a" * 1_000_000).json() == 1_000_000
        answer = client.post("/settings", headers=admin, content=iter([b"a" * 1_000_000] * 3))

    assert (answer.status_code, set(answer.json())) == (413, {"error"})


# Stream tokens


def test_a_stream_token_stands_for_its_key_at_one_job(app: FastAPI, keys: Path, reader: dict[str, str]) -> None:
    owner, other = new_key(keys, Scope.READ, Scope.SUBMIT), new_key(keys, Scope.READ, Scope.SUBMIT)
    with TestClient(app) as client:
        until(lambda: client.get("/jobs", headers=other).status_code == 200)  # the new keys are known
        form: dict[str, Any] = {"files": {"audio": ("a", b"no recording")}, "data": {"queue": "true"}}
        mine, second = (client.post("/jobs", headers=owner, **form).json()["job_id"] for _ in range(2))
        until(lambda: client.get(f"/jobs/{mine}", headers=owner).json()["status"] == "failed")
        answer = client.post("/stream-tokens", headers=owner, json={"job_id": mine})
        token = {"token": answer.json()["token"]}

        assert (answer.status_code, answer.headers["Cache-Control"]) == (201, "no-store")
        assert client.get(f"/jobs/{mine}/stream", params=token).status_code == 200
        assert client.get(f"/jobs/{mine}/audio", params=token).content == b"no recording"
        for path in (f"/jobs/{second}/stream", f"/jobs/{second}/audio", "/model/events", f"/jobs/{mine}", "/jobs"):
            refused = client.get(path, params=token)
            assert refused.status_code == 401, path
        assert client.delete(f"/jobs/{mine}", params=token).status_code == 401
        assert client.post("/stream-tokens", headers=other, json={"job_id": mine}).status_code == 404
        assert client.post("/stream-tokens", params=token, json={"job_id": mine}).status_code == 401
        wrong = client.get(f"/jobs/{mine}/stream", params={"token": "sct_x"})
        assert (wrong.status_code, "POST /stream-tokens" in wrong.json()["error"]) == (401, True)


def test_a_stream_token_ends_with_its_key(app: FastAPI, keys: Path, reader: dict[str, str]) -> None:
    from scrivano.auth.keys import remove_key

    new_key(keys, Scope.READ)
    with TestClient(app) as client:
        token = {"token": client.post("/stream-tokens", headers=reader).json()["token"]}
        remove_key(keys, "key 0")
        until(lambda: client.get("/jobs", headers=reader).status_code == 401)
        refused = client.get("/model/events", params=token)

    assert (refused.status_code, "revoked" in refused.json()["error"]) == (401, True)


def test_the_life_of_a_stream_token_is_limited(app: FastAPI, reader: dict[str, str]) -> None:
    with TestClient(app) as client:
        for secs, status in [(9, 400), (10, 201), (3600, 201), (3601, 400)]:
            answer = client.post("/stream-tokens", headers=reader, json={"expires_in_secs": secs})
            assert answer.status_code == status


def test_without_keys_a_stream_token_is_issued_and_ignored(tmp_path: Path) -> None:
    with built(data_dir=tmp_path) as app, TestClient(app) as client:
        assert client.post("/stream-tokens").status_code == 201
        assert client.post("/stream-tokens", json={"job_id": "x"}).status_code == 404
        assert client.get("/jobs", params={"token": "anything"}).status_code == 200


# Pages of this machine


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("http://localhost:5173", True),
        ("http://localhost", True),
        ("https://127.0.0.1:3000", True),
        ("http://[::1]:8000", True),
        ("http://app.localhost:5173", True),
        ("http://localhost.example.org", False),
        ("http://localhost:5173.example.org", False),
        ("http://127.0.0.1.example.org", False),
        ("http://192.168.1.2:5173", False),
        ("null", False),
    ],
)
def test_loopback_allows_pages_of_this_machine(app: FastAPI, origin: str, allowed: bool) -> None:
    with TestClient(create_app(app.state.services, options=HttpOptions(origins=["loopback"]))) as client:
        answer = client.get("/health", headers={"Origin": origin})

    assert answer.headers.get("Access-Control-Allow-Origin") == (origin if allowed else None)
