"""The application in this process, for tests that need access to its parts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from fastapi import FastAPI

from scrivano.engines.gpu_memory import GpuMemory
from scrivano.server.build import BuildOptions, build
from scrivano.server.settings import Settings


class NoGpu:
    def read(self, index: int) -> GpuMemory | None:
        return None

    def by_process(self, index: int) -> dict[int, int]:
        return {}

    def host_free_mb(self) -> int | None:
        return None

    def close(self) -> None:
        pass


@contextmanager
def built(**settings: Any) -> Iterator[FastAPI]:
    """The application with the nano model and these settings. What it opens is closed at the end."""
    with ExitStack() as cleanup:
        flags = {"whisper_model": "nano", **settings}
        yield build(Settings.load(flags, environ={}), BuildOptions(memory=NoGpu()), cleanup).app
