"""Downloads of a model, from a hub of our own on loopback, by the engine child."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from engine_support import Wire, worker
from hub import FILES, KEPT_BYTES, NAMES, REPOSITORY, hub


@contextmanager
def child(home: Path, endpoint: str) -> Iterator[Wire]:
    """An engine child whose cache is in `home`."""
    with worker(HF_HOME=str(home), HF_ENDPOINT=endpoint, HF_HUB_DISABLE_TELEMETRY="1", NO_PROXY="*") as one:
        yield one


def load(one: Wire, model: str = REPOSITORY) -> list[dict[str, Any]]:
    """All that the child says until the load is over."""
    said = [one.load(model=model)]
    while said[-1]["type"] == "downloading":
        said.append(one.receive())
    return said


def test_a_download_reports_its_progress_and_the_cache_needs_no_network(tmp_path: Path) -> None:
    wanted = sum(len(FILES[name]) for name in NAMES)
    with hub() as server:
        with child(tmp_path, server.url) as one:
            *progress, last = load(one)

        assert last["type"] == "loaded"
        assert progress[-1] == {"type": "downloading", "done_bytes": wanted, "total_bytes": wanted}
        done = [said["done_bytes"] for said in progress]
        assert done == sorted(done)
        assert {said["total_bytes"] for said in progress} == {wanted}, "a percentage from the start"
        assert {name for name, _ in server.requests} == set(NAMES)
        asked = len(server.requests)

        with child(tmp_path, server.url) as one:
            assert [said["type"] for said in load(one)] == ["loaded"]
        assert len(server.requests) == asked

    with child(tmp_path, server.url) as one:
        assert [said["type"] for said in load(one)] == ["loaded"]


def test_a_line_that_breaks_is_taken_up_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FILES, "vocabulary.large", b"\0" * (3 * KEPT_BYTES))

    def once(name: str, first: int) -> int | None:
        return 2 * KEPT_BYTES - 1 if name == "vocabulary.large" and first == 0 else None

    with hub(once) as server, child(tmp_path, server.url) as one:
        *progress, last = load(one)

    assert last["type"] == "loaded"
    assert [asked for asked in server.requests if asked[0] == "vocabulary.large"] == [
        ("vocabulary.large", 0),
        ("vocabulary.large", KEPT_BYTES),
    ]
    assert progress[-1]["done_bytes"] == progress[-1]["total_bytes"] == sum(map(len, FILES.values())) - 10


def test_a_download_that_fails_is_told_and_the_next_load_fetches_what_is_missing(tmp_path: Path) -> None:
    with hub(lambda name, first: 1000 if name == "model.bin" else None) as server, child(tmp_path, server.url) as one:
        failed = load(one)[-1]
        server.limit = lambda name, first: None
        server.requests.clear()

        assert (failed["type"], failed["kind"]) == ("failed", "model")
        assert "broke off" in failed["message"]
        assert "WHISPER_MODEL_PATH" in failed["message"]
        assert list(tmp_path.rglob("*.incomplete")) == []
        assert load(one)[-1]["type"] == "loaded"
        assert server.requests == [("model.bin", 0)]


def test_a_repository_that_does_not_exist_is_told(tmp_path: Path) -> None:
    with hub() as server, child(tmp_path, server.url) as one:
        [failed] = load(one, "nobody/nothing")

    assert (failed["type"], failed["kind"]) == ("failed", "model")
    assert "nobody/nothing" in failed["message"]
    assert "no such repository" in failed["message"]


def test_a_repository_without_a_model_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FILES, "model.bin", b"")
    monkeypatch.delitem(FILES, "model.bin")
    with hub() as server, child(tmp_path, server.url) as one:
        failed = load(one)[-1]

    assert failed["kind"] == "model"
    assert "no CTranslate2 Whisper model" in failed["message"]


def test_a_hub_that_cannot_be_reached_is_told(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{unused.getsockname()[1]}"
        with child(tmp_path, endpoint) as one:
            [failed] = load(one)

    assert failed["kind"] == "model"
    for advice in (endpoint, "network", "HF_ENDPOINT", "WHISPER_MODEL_PATH"):
        assert advice in failed["message"]
