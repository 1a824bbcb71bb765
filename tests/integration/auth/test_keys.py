"""The file of API keys: how it is written, and how a running server follows it."""

from __future__ import annotations

import json
import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from scrivano.auth.key_ring import KeyRing
from scrivano.auth.keys import Limits, Scope, add_key, prove, read_keys, remove_key
from scrivano.domain.errors import StartError

NOW = datetime(2030, 1, 2, 3, 4, 5, 678, tzinfo=UTC)


# Writing


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "new" / "keys.json"


def test_a_key_is_kept_without_its_secret_for_this_user_only(path: Path) -> None:
    limits = Limits(requests_per_minute=60, audio_hours_per_day=0.5)
    key, secret = add_key(path, "one", [Scope.SUBMIT], limits, NOW)

    assert read_keys(path) == (key,)
    assert prove({key.sha256: key}, secret) is key
    assert secret not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in path.parent.iterdir()] == ["keys.json"]


def test_names_are_taken_once_and_keys_are_revoked_by_name_or_id(path: Path) -> None:
    one, _ = add_key(path, "one", [Scope.READ], Limits(), NOW)
    two, _ = add_key(path, "two", [Scope.READ], Limits(), NOW)

    with pytest.raises(StartError, match="named one already"):
        add_key(path, "one", [Scope.READ], Limits(), NOW)
    with pytest.raises(StartError, match="no keys are named three"):
        remove_key(path, "three")
    assert remove_key(path, "one") == one
    assert remove_key(path, two.id) == two
    assert read_keys(path) == ()


def test_of_keys_made_at_once_none_is_lost(path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda n: add_key(path, f"key {n}", [Scope.READ], Limits(), NOW)[0], range(24)))

    assert set(read_keys(path)) == set(made)


def test_a_link_goes_on_leading_to_the_file(path: Path, tmp_path: Path) -> None:
    add_key(path, "one", [Scope.READ], Limits(), NOW)
    link = tmp_path / "link.json"
    link.symlink_to(path)

    add_key(link, "two", [Scope.READ], Limits(), NOW)

    assert link.is_symlink()
    assert [key.name for key in read_keys(path)] == ["one", "two"]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "Invalid JSON"),
        ("[]", "keys.json is not a file of API keys"),
        ('{"version": 2, "keys": []}', "version"),
        ('{"version": 1, "keys": [{"sha256": "secret"}]}', "keys.0"),
    ],
)
def test_a_broken_file_is_said_to_be_one_without_a_word_of_it(path: Path, text: str, complaint: str) -> None:
    path.parent.mkdir()
    path.write_text(text)

    with pytest.raises(StartError, match=complaint) as refused:
        KeyRing(path)
    assert "secret" not in str(refused.value)


def test_two_keys_may_not_share_what_tells_them_apart(path: Path) -> None:
    add_key(path, "one", [Scope.READ], Limits(), NOW)
    document = json.loads(path.read_text())
    document["keys"] *= 2
    path.write_text(json.dumps(document))

    with pytest.raises(StartError, match="the same"):
        read_keys(path)


def test_a_missing_file_is_said_how_to_make(path: Path) -> None:
    with pytest.raises(StartError, match="scrivano keys create"):
        KeyRing(path)


# Following


def test_a_ring_follows_the_file_and_keeps_its_keys_when_that_breaks(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    one, first = add_key(path, "one", [Scope.READ], Limits(), NOW)
    ring = KeyRing(path)
    assert not ring.look()

    _, second = add_key(path, "two", [Scope.READ], Limits(), NOW)
    assert ring.find(second) is None
    assert ring.look()
    assert ring.find(second) is not None

    path.write_text("{")
    assert not ring.look()
    assert not ring.look()
    assert ring.find(first) == one
    path.unlink()
    assert not ring.look()
    assert ring.find(first) == one
    assert [record.levelname for record in caplog.records] == ["ERROR", "ERROR"]

    add_key(path, "three", [Scope.READ], Limits(), NOW)
    assert ring.look()
    assert ring.find(first) is None
