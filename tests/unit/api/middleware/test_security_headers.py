from __future__ import annotations

from scrivano.api.middleware.security_headers import page_policy


def test_a_page_runs_only_the_scripts_that_it_came_with() -> None:
    policy = page_policy("<script src='/x.js'></script><script>a()</script>")

    assert "script-src 'self' 'sha256-qVpDBgj7bpq5hMAcGp3AOc79J3Y1Z4HvySTwKrWDoy4=';" in policy
    assert "'unsafe-inline'" not in policy.split("style-src")[0]
