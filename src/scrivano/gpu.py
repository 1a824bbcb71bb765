"""What the GPU says of its memory, read through NVML; never by parsing a program's output."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any, Protocol

logger = logging.getLogger(__name__)

MEGABYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class GpuMemory:
    name: str
    total_mb: int
    used_mb: int
    free_mb: int


class MemoryReader(Protocol):
    """Reads one device's memory. Thread-safe."""

    def read(self) -> GpuMemory | None:
        """None where no GPU can be read."""

    def close(self) -> None:
        """Closing twice is fine."""


class NvmlReader:
    """NVML through `nvidia-ml-py`, for the device with this index."""

    def __init__(self, index: int) -> None:
        self._index = index
        self._nvml = _load_nvml()

    def read(self) -> GpuMemory | None:
        nvml = self._nvml
        if nvml is None:
            return None
        try:
            handle = nvml.nvmlDeviceGetHandleByIndex(self._index)
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

    def close(self) -> None:
        if self._nvml is not None:
            self._nvml.nvmlShutdown()
            self._nvml = None


def _load_nvml() -> Any:
    """The initialised module, or None on a machine without an NVIDIA driver."""
    import pynvml  # 30 ms that only the server pays

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return None
    return pynvml
