"""API keys: how a secret is verified, and what a key may do."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from scrivano.auth.keys import Caller, Key, Scope, new_secret, sha256_of, verify

NOW = datetime(2030, 1, 2, 3, 4, 5, 678, tzinfo=UTC)
SECRET = "scv_" + "aB3-" * 10 + "xYz"
KEY = Key(id="a1", name="one", sha256=sha256_of(SECRET), scopes=frozenset({Scope.READ}), created_at=NOW)


def test_a_secret_is_long_and_random_and_has_a_prefix() -> None:
    assert SECRET.startswith("scv_")
    assert len(SECRET) == 4 + 43  # 256 bits in base64
    assert new_secret() != SECRET


@pytest.mark.parametrize("other", ["", "scv_", SECRET[:-1], SECRET + "A", SECRET.swapcase(), "\udc80\xff", KEY.sha256])
def test_a_key_is_found_by_its_secret_only(other: str) -> None:
    keys = {KEY.sha256: KEY}

    assert verify(keys, SECRET) is KEY
    assert verify(keys, other) is None


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
