"""How a running server follows changes of its keys file."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from scrivano.auth.key_ring import KeyRing
from scrivano.auth.keys import Limits, Scope, add_key

NOW = datetime(2030, 1, 2, 3, 4, 5, 678, tzinfo=UTC)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "new" / "keys.json"


def test_changes_of_the_file_are_followed_and_a_broken_file_changes_nothing(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    one, first = add_key(path, "one", [Scope.READ], Limits(), NOW)
    ring = KeyRing(path)
    assert not ring.reload()

    _, second = add_key(path, "two", [Scope.READ], Limits(), NOW)
    assert ring.find(second) is None
    assert ring.reload()
    assert ring.find(second) is not None

    path.write_text("{")
    assert not ring.reload()
    assert not ring.reload()
    assert ring.find(first) == one
    path.unlink()
    assert not ring.reload()
    assert ring.find(first) == one
    assert [record.levelname for record in caplog.records] == ["ERROR", "ERROR"]

    add_key(path, "three", [Scope.READ], Limits(), NOW)
    assert ring.reload()
    assert ring.find(first) is None
