"""The used memory of the device: of the whole GPU as NVML reports it; without a GPU, of a process and its children."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from benchmarks.machine import descendants, resident_mb
from scrivano.engines.gpu_memory import NvmlReader

# As fast as NVML is read without a cost that shows.
EVERY_S = 0.02

# NVML's figures settle within this time after the end of a process.
SETTLE_S = 10.0

Read = Callable[[], float]


def device_memory(device: str, pid: int | None = None) -> Read:
    """A function that returns the used memory in MB. On a CPU: that of process `pid` (this one) and its children."""
    if device != "cuda":
        return lambda: _tree_mb(pid or os.getpid())
    reader = NvmlReader()

    def read() -> float:
        memory = reader.read(0)
        if memory is None:
            raise RuntimeError("NVML cannot read the GPU")
        return float(memory.used_mb)

    return read


def _tree_mb(pid: int) -> float:
    total = 0.0
    for one in [pid, *descendants(pid)]:
        with suppress(OSError, IndexError):
            total += resident_mb(one)
    return total


def settled(read: Read, at_most_mb: float) -> tuple[float, float]:
    """Wait until no more than this is used, or `SETTLE_S`. Returns what is used, and the seconds."""
    began = time.monotonic()
    while (used := read()) > at_most_mb and time.monotonic() - began < SETTLE_S:
        time.sleep(EVERY_S)
    return used, time.monotonic() - began


class Peak:
    """The most memory that was used inside the block."""

    def __init__(self, read: Read) -> None:
        self.mb = 0.0
        self._read = read
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Peak:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()
        self._see()

    def _watch(self) -> None:
        while not self._over.wait(EVERY_S):
            self._see()

    def _see(self) -> None:
        self.mb = max(self.mb, self._read())
