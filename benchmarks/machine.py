"""The machine on which the measurements ran."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

LIBRARIES = ("ctranslate2", "faster-whisper", "onnxruntime", "av", "numpy")


def describe() -> dict[str, Any]:
    """JSON values; `load` are the averages of the last 1, 5 and 15 minutes, including other programs."""
    return {
        "processor": _processor(),
        "cores": cores(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
        "libraries": {name: version(name) for name in LIBRARIES},
        "load": [round(one, 2) for one in os.getloadavg()],
    }


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _processor() -> str:
    """Name, family and model: the name alone does not identify the generation."""
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        known = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        return f"{known.get('model name')} (family {known.get('cpu family')}, model {known.get('model')})"
    return platform.processor()


def cpu_seconds(pid: int) -> float:
    """Processor time that a process has used so far, without its child processes. Linux: the id of another's clock."""
    return time.clock_gettime((~pid << 3) | 2)


def tree_cpu_seconds(pid: int) -> float:
    """Processor time of a process and its descendants, including ended ones, with the resolution of a clock tick."""
    return sum(_ticks(_stat(one)[13:17]) for one in [pid, *descendants(pid)])


def descendants(pid: int) -> list[int]:
    """A process's children, their children, and so on."""
    parents = {int(stat.parent.name): _parent(stat) for stat in Path("/proc").glob("[0-9]*/stat")}
    found, generation = [], [pid]
    while generation:
        generation = [child for child, parent in parents.items() if parent in generation]
        found += generation
    return found


def _ticks(fields: Sequence[str]) -> float:
    return sum(map(int, fields)) / os.sysconf("SC_CLK_TCK")


def _stat(pid: int) -> list[str]:
    """The fields of /proc/<pid>/stat, the first one at 0; empty if the process has ended."""
    with suppress(OSError):
        head, _, tail = Path(f"/proc/{pid}/stat").read_text().rpartition(")")
        return [head, ")", *tail.split()]
    return []


def _parent(stat: Path) -> int:
    fields = _stat(int(stat.parent.name))
    return int(fields[3]) if fields else 0


def resident_mb(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
