from __future__ import annotations

import pytest

from scrivano.domain.addresses import authority, callable_host


@pytest.mark.parametrize(
    ("host", "shown", "called"),
    [
        ("127.0.0.1", "127.0.0.1:8080", "127.0.0.1:8080"),
        ("0.0.0.0", "0.0.0.0:8080", "127.0.0.1:8080"),
        ("::", "[::]:8080", "[::1]:8080"),
        ("fd00::2", "[fd00::2]:8080", "[fd00::2]:8080"),
    ],
)
def test_an_address_is_shown_and_called(host: str, shown: str, called: str) -> None:
    assert (authority(host, 8080), authority(callable_host(host), 8080)) == (shown, called)
