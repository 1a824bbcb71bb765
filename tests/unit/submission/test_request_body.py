from __future__ import annotations

import pytest

from scrivano.submission.request_body import parse_size_bytes


@pytest.mark.parametrize(("text", "size_bytes"), [("0", 0), ("1048576", 1048576), ("9" * 18, 10**18 - 1)])
def test_a_size_is_digits(text: str, size_bytes: int) -> None:
    assert parse_size_bytes(text) == size_bytes


@pytest.mark.parametrize("text", ["", " ", "-1", "+1", "1_000", "1.0", "\u0663", "9" * 19])
def test_anything_else_is_no_size(text: str) -> None:
    assert parse_size_bytes(text) is None
