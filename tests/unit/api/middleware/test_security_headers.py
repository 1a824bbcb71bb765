from __future__ import annotations

import pytest
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient

from scrivano.api.middleware.security_headers import SecurityHeaders, page_policy


def test_a_page_runs_only_the_scripts_that_it_came_with() -> None:
    policy = page_policy("<script src='/x.js'></script><script>a()</script>")

    assert "script-src 'self' 'sha256-qVpDBgj7bpq5hMAcGp3AOc79J3Y1Z4HvySTwKrWDoy4=';" in policy
    assert "'unsafe-inline'" not in policy.split("style-src")[0]


@pytest.mark.parametrize(
    ("ancestors", "directive", "options"),
    [
        ((), "frame-ancestors 'none';", "DENY"),
        (("self",), "frame-ancestors 'self';", "SAMEORIGIN"),
        (("self", "https://app.example.org"), "frame-ancestors 'self' https://app.example.org;", None),
        (("*",), "frame-ancestors *;", None),
    ],
)
def test_both_headers_say_who_may_show_it_in_a_frame(
    ancestors: tuple[str, ...], directive: str, options: str | None
) -> None:
    app = SecurityHeaders(PlainTextResponse("text"), shared=False, frame_ancestors=ancestors)

    headers = TestClient(app).get("/").headers

    assert directive in headers["Content-Security-Policy"]
    assert directive in page_policy("<p>", ancestors)
    assert headers.get("X-Frame-Options") == options
