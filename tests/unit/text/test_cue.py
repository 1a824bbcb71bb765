from __future__ import annotations

import pytest

from scrivano.text.cue import milliseconds, width


@pytest.mark.parametrize(("text", "chars"), [("abc", 3), ("é", 1), ("e\u0301", 1), ("字幕", 4), ("ที่", 1), ("", 0)])
def test_width_counts_as_readers_do(text: str, chars: int) -> None:
    assert width(text) == chars


def test_every_millisecond_survives_the_float() -> None:
    assert all(milliseconds(ms / 1000) == ms for ms in range(1_000_000))
    assert all(milliseconds(ms / 1000) == ms for ms in range(86_000_000, 86_400_000, 7))


@pytest.mark.parametrize(
    ("seconds", "ms"), [(59.9996, 60_000), (59.9994, 59_999), (0.0005, 0), (0.0015, 2), (-1e-9, 0), (-0.3, 0)]
)
def test_times_are_rounded_to_the_nearest_millisecond_and_at_least_0(seconds: float, ms: int) -> None:
    assert milliseconds(seconds) == ms
