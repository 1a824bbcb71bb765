from __future__ import annotations

import pytest

from scrivano.api.middleware.blank_parameters import without_blank


@pytest.mark.parametrize(
    ("query", "rest"),
    [
        (b"", b""),
        (b"language=&output=srt&task=+%20", b"output=srt"),
        (b"purge&limit=5&cursor=", b"purge&limit=5"),
        (b"prompt=a%20b+c&prompt=a=", b"prompt=a%20b+c&prompt=a="),
    ],
)
def test_blank_parameters_count_as_left_out(query: bytes, rest: bytes) -> None:
    assert without_blank(query) == rest
