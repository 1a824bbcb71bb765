"""Free and used memory: of GPUs, read through NVML (never by parsing a program's output), and of the machine.

The server process imports this module, so it imports no model library.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

logger = logging.getLogger(__name__)

MEGABYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class GpuMemory:
    """The memory of a whole GPU, in units of 1024 * 1024 bytes. `used_mb` includes what other programs use."""

    name: str
    total_mb: int
    used_mb: int
    free_mb: int


class MemoryReader(Protocol):
    """Reads the memory of GPUs, by their index, and of the machine. Thread-safe."""

    def read(self, index: int) -> GpuMemory | None:
        """Return None if that GPU cannot be read."""

    def by_process(self, index: int) -> Mapping[int, int]:
        """Return how much GPU memory each process uses, by process id; empty if NVML does not report it."""

    def host_free_mb(self) -> int | None:
        """Return how much of the machine's memory programs may still allocate; None if it is not known."""

    def close(self) -> None:
        """A second call does nothing."""


class NvmlReader:
    """NVML through `nvidia-ml-py`, and Linux's `/proc/meminfo`."""

    def __init__(self) -> None:
        self._nvml = _load_nvml()

    def read(self, index: int) -> GpuMemory | None:
        nvml = self._nvml
        if nvml is None:
            return None
        try:
            handle = nvml.nvmlDeviceGetHandleByIndex(index)
            memory = nvml.nvmlDeviceGetMemoryInfo(handle)
            name = nvml.nvmlDeviceGetName(handle)
        except nvml.NVMLError as error:
            logger.debug("the GPU cannot be read: %s", error)
            return None
        return GpuMemory(
            name=name if isinstance(name, str) else name.decode(),
            total_mb=memory.total // MEGABYTE,
            used_mb=memory.used // MEGABYTE,
            free_mb=memory.free // MEGABYTE,
        )

    def by_process(self, index: int) -> Mapping[int, int]:
        nvml = self._nvml
        if nvml is None:
            return {}
        try:
            running = nvml.nvmlDeviceGetComputeRunningProcesses(nvml.nvmlDeviceGetHandleByIndex(index))
        except nvml.NVMLError as error:
            logger.debug("the GPU's processes cannot be read: %s", error)
            return {}
        return {one.pid: one.usedGpuMemory // MEGABYTE for one in running if one.usedGpuMemory}

    def host_free_mb(self) -> int | None:
        try:
            lines = Path("/proc/meminfo").read_text().splitlines()
            return next(int(line.split()[1]) // 1024 for line in lines if line.startswith("MemAvailable:"))
        except (OSError, StopIteration):
            return None

    def close(self) -> None:
        if self._nvml is not None:
            self._nvml.nvmlShutdown()
            self._nvml = None


def _load_nvml() -> Any:
    """Return the initialised module, or None on a machine without an NVIDIA driver."""
    import pynvml  # takes 30 ms, which commands of the client need not pay

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return None
    return pynvml
