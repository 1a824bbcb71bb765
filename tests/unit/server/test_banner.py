"""The lines at the start of a server on a terminal."""

from __future__ import annotations

from pathlib import Path

import pytest

from scrivano.server.banner import Started, banner


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", "http://127.0.0.1:8080"),
        ("0.0.0.0", "http://127.0.0.1:8080"),
        ("::", "http://[::1]:8080"),
        ("fe80::1", "http://[fe80::1]:8080"),
    ],
)
def test_the_address_can_be_opened(host: str, address: str) -> None:
    text = banner(Started(host=host, port=8080, page=True, docs=True, model="small", data_dir=Path("/data")))

    assert f" {address}\n" in text
    assert f" {address}/docs\n" in text
    assert "small" in text
    assert "/data" in text


def test_a_page_that_is_not_served_is_not_named() -> None:
    text = banner(Started(host="::1", port=1, page=False, docs=False, model="small", data_dir=Path("/data")))

    assert "page" not in text
    assert "/docs" not in text
