from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scrivano.auth.stream_tokens import StreamTokens
from scrivano.domain.errors import InvalidStreamToken

NOW = datetime(2026, 1, 31, 12, 0, 0, 250_000, tzinfo=UTC)
JOB = "/jobs/6f9619ff-8b86-4d01-b42d-00cf4fc964ff/"


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tokens(clock: Clock) -> StreamTokens:
    return StreamTokens(b"s" * 32, clock)


def test_a_token_stands_for_its_key_on_its_paths(tokens: StreamTokens) -> None:
    token = tokens.issue("0f1e2d", JOB)

    assert token.text.startswith("sct_0f1e2d.")
    assert token.expires_at == NOW.replace(microsecond=0) + timedelta(minutes=10)
    assert tokens.key_id(token.text, f"{JOB}stream") == tokens.key_id(token.text, f"{JOB}audio") == "0f1e2d"


@pytest.mark.parametrize(
    "path",
    [
        "/jobs/6f9619ff-8b86-4d01-b42d-00cf4fc964f/stream",
        "/jobs/00000000-0000-4000-8000-000000000000/stream",
        f"{JOB}more/stream",
        "/model/events",
        "/jobs/stream",
        "/",
        "",
    ],
)
def test_a_token_is_invalid_elsewhere(tokens: StreamTokens, path: str) -> None:
    with pytest.raises(InvalidStreamToken, match="not valid here"):
        tokens.key_id(tokens.issue("a", JOB).text, path)


def test_a_token_of_the_model_is_for_one_path(tokens: StreamTokens) -> None:
    token = tokens.issue("a", "/model/events").text

    assert tokens.key_id(token, "/model/events") == "a"
    for path in ("/model/events/more", "/model/status", f"{JOB}stream"):
        with pytest.raises(InvalidStreamToken):
            tokens.key_id(token, path)


def test_a_token_expires(tokens: StreamTokens, clock: Clock) -> None:
    token = tokens.issue("a", JOB, life_s=60)
    clock.now = token.expires_at - timedelta(milliseconds=1)
    assert tokens.key_id(token.text, f"{JOB}stream") == "a"
    clock.now = token.expires_at

    with pytest.raises(InvalidStreamToken, match="has expired: get a new one with POST /stream-tokens"):
        tokens.key_id(token.text, f"{JOB}stream")


def test_another_secret_signs_other_tokens(tokens: StreamTokens, clock: Clock) -> None:
    with pytest.raises(InvalidStreamToken):
        tokens.key_id(StreamTokens(b"t" * 32, clock).issue("a", JOB).text, f"{JOB}stream")


@given(st.integers(0, 200), st.characters(codec="utf-8"))
def test_a_changed_token_is_invalid(at: int, char: str) -> None:
    tokens = StreamTokens(b"s" * 32, lambda: NOW)
    good = tokens.issue("0f1e2d", JOB).text
    changed = good[:at] + char + good[at + 1 :]
    if changed == good:
        return

    with pytest.raises(InvalidStreamToken):
        tokens.key_id(changed, f"{JOB}stream")
