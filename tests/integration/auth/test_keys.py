"""The file of API keys: how it is read and written."""

from __future__ import annotations

import json
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from scrivano.auth.keys import Limits, Scope, add_key, read_keys, remove_key, verify
from scrivano.domain.errors import StartError

NOW = datetime(2030, 1, 2, 3, 4, 5, 678, tzinfo=UTC)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "new" / "keys.json"


def test_a_key_is_stored_without_its_secret_and_only_this_user_may_read_it(path: Path) -> None:
    limits = Limits(requests_per_minute=60, audio_hours_per_day=0.5)
    key, secret = add_key(path, "one", [Scope.SUBMIT], limits, NOW)

    assert read_keys(path) == (key,)
    assert verify({key.sha256: key}, secret) is key
    assert secret not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in path.parent.iterdir()] == ["keys.json"]


def test_names_are_unique_and_keys_are_revoked_by_name_or_id(path: Path) -> None:
    one, _ = add_key(path, "one", [Scope.READ], Limits(), NOW)
    two, _ = add_key(path, "two", [Scope.READ], Limits(), NOW)

    with pytest.raises(StartError, match="named one already exists"):
        add_key(path, "one", [Scope.READ], Limits(), NOW)
    with pytest.raises(StartError, match="no keys match three"):
        remove_key(path, "three")
    assert remove_key(path, "one") == one
    assert remove_key(path, two.id) == two
    assert read_keys(path) == ()


def test_keys_created_concurrently_are_all_stored(path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda n: add_key(path, f"key {n}", [Scope.READ], Limits(), NOW)[0], range(24)))

    assert set(read_keys(path)) == set(made)


def test_a_link_still_points_to_the_file(path: Path, tmp_path: Path) -> None:
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
        ("[]", "keys.json is not a valid API keys file"),
        ('{"version": 2, "keys": []}', "version"),
        ('{"version": 1, "keys": [{"sha256": "secret"}]}', "keys.0"),
    ],
)
def test_the_error_for_a_broken_file_does_not_quote_the_file(path: Path, text: str, complaint: str) -> None:
    path.parent.mkdir()
    path.write_text(text)

    with pytest.raises(StartError, match=complaint) as refused:
        read_keys(path)
    assert "secret" not in str(refused.value)


def test_two_keys_may_not_have_the_same_id(path: Path) -> None:
    add_key(path, "one", [Scope.READ], Limits(), NOW)
    document = json.loads(path.read_text())
    document["keys"] *= 2
    path.write_text(json.dumps(document))

    with pytest.raises(StartError, match="the same"):
        read_keys(path)


def test_the_error_for_a_missing_file_says_how_to_create_it(path: Path) -> None:
    with pytest.raises(StartError, match="scrivano keys create"):
        read_keys(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_a_file_that_root_writes_can_be_read_by_the_server_of_its_folder(path: Path) -> None:
    path.parent.mkdir()
    os.chown(path.parent, 12345, 12345)

    add_key(path, "one", [Scope.READ], Limits(), NOW)
    new = path.stat()
    os.chown(path, 0, 23456)
    path.chmod(0o644)
    add_key(path, "two", [Scope.READ], Limits(), NOW)
    replaced = path.stat()

    assert (new.st_uid, new.st_gid, stat.S_IMODE(new.st_mode)) == (12345, 12345, 0o600)
    assert (replaced.st_uid, replaced.st_gid, stat.S_IMODE(replaced.st_mode)) == (0, 23456, 0o640)
