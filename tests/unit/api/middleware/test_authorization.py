from __future__ import annotations

import pytest
from starlette.datastructures import Headers

from scrivano.api.middleware.authorization import presented_key


@pytest.mark.parametrize(
    ("headers", "shown"),
    [
        ({}, None),
        ({"Authorization": "Bearer a"}, "a"),
        ({"Authorization": "bEARER   a "}, "a"),
        ({"Authorization": "Basic a"}, None),
        ({"Authorization": "a"}, None),
        ({"X-API-Key": "b"}, "b"),
        ({"X-API-Key": "b", "Authorization": "Bearer a"}, "b"),
        ({"X-API-Key": "", "Authorization": "Bearer a"}, "a"),
    ],
)
def test_a_key_is_shown_in_either_header(headers: dict[str, str], shown: str | None) -> None:
    assert presented_key(Headers(headers)) == shown
