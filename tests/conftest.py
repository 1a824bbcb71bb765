"""Settings of all tests: how property tests run, and which tests are skipped where something is missing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from installed import must_be_there
from node import node_is_missing
from postgres import Cluster, postgres_is_missing, running_cluster

# Examples have no deadline, because a busy machine is not a bug. In CI, the examples are the same in every run.
settings.register_profile("here", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, database=None)
settings.load_profile("ci" if os.environ.get("CI") else "here")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if not Path("/dev/nvidiactl").exists():
        for item in items:
            if item.get_closest_marker("gpu"):
                item.add_marker(pytest.mark.skip(reason="no CUDA device"))
    of_node = [item for item in items if item.get_closest_marker("node")]
    if of_node and not must_be_there("node") and (reason := node_is_missing()):
        for item in of_node:
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def nano_ggml(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundled model as a GGML file for whisper.cpp."""
    from nano_ggml import write_nano  # Importing it takes half a second, and few tests need it.

    return write_nano(tmp_path_factory.mktemp("ggml") / "ggml-nano-q8_0.bin")


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    """A private PostgreSQL; tests that need it are skipped where it is not installed."""
    if (reason := postgres_is_missing()) is not None:
        pytest.skip(reason)
    with running_cluster() as cluster:
        yield cluster
