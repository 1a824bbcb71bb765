"""The last hour of the server in samples, for a page that draws it. In memory: a restart begins anew."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from scrivano.telemetry.events import BatchDecoded, TelemetryEvent

__all__ = ["INTERVAL_S", "History", "ProcessUsage", "Reading", "Sample", "process_usage"]

INTERVAL_S = 10.0
KEPT_S = 3600.0

_MB = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessUsage:
    """What processes use: memory in MB, and the processor seconds that they have used since they started."""

    memory_mb: int
    cpu_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What is read at the time of a sample. None: it cannot be read on this machine."""

    queued: int
    running: int
    usage: ProcessUsage | None
    gpu_used_mb: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """`audio_secs` (seconds of speech that were decoded), `busy` (the share of the time in which a model decoded, 0 to
    1) and `cpu_cores` (processor cores in use, on average) are about the time since the sample before."""

    at: datetime
    queued: int
    running: int
    audio_secs: float
    busy: float
    cpu_cores: float | None
    memory_mb: int | None
    gpu_used_mb: int | None


class History:
    """`emit` is called on any thread, `sample` on one at a time."""

    def __init__(self, now: Callable[[], datetime], monotonic: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._monotonic = monotonic
        self._samples: deque[Sample] = deque(maxlen=round(KEPT_S / INTERVAL_S))
        self._lock = threading.Lock()
        self._audio_s = self._busy_s = 0.0
        self._sampled_at = monotonic()
        self._cpu_s: float | None = None

    @property
    def samples(self) -> Sequence[Sample]:
        """Oldest first."""
        with self._lock:
            return tuple(self._samples)

    def emit(self, event: TelemetryEvent) -> None:
        if isinstance(event, BatchDecoded):
            with self._lock:
                self._audio_s += event.audio_s
                self._busy_s += event.duration_s

    def sample(self, reading: Reading) -> None:
        """Add a sample; the oldest is dropped after an hour."""
        now_s, usage = self._monotonic(), reading.usage
        elapsed_s = max(1e-3, now_s - self._sampled_at)
        used_s = usage.cpu_s - self._cpu_s if usage is not None and self._cpu_s is not None else None
        with self._lock:
            self._samples.append(
                Sample(
                    at=self._now(),
                    queued=reading.queued,
                    running=reading.running,
                    audio_secs=round(self._audio_s, 3),
                    # A batch is counted when it ends, so one that is longer than a sample would be more than all of it.
                    busy=round(min(1.0, self._busy_s / elapsed_s), 4),
                    # A process that has ended takes its seconds with it.
                    cpu_cores=None if used_s is None else round(max(0.0, used_s / elapsed_s), 3),
                    memory_mb=None if usage is None else usage.memory_mb,
                    gpu_used_mb=reading.gpu_used_mb,
                )
            )
            self._audio_s = self._busy_s = 0.0
        self._sampled_at, self._cpu_s = now_s, None if usage is None else usage.cpu_s


def process_usage(pids: Iterable[int]) -> ProcessUsage | None:
    """Of these processes together, without those that have ended; None: this system does not tell (no `/proc`)."""
    pages = ticks = 0
    for pid in pids:
        try:
            pages += int(Path(f"/proc/{pid}/statm").read_text().split()[1])
            # The name of the program, in brackets, may contain spaces.
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except FileNotFoundError:
            continue
        except (OSError, IndexError, ValueError):
            return None
        ticks += int(fields[11]) + int(fields[12])
    if not pages:
        return None
    return ProcessUsage(memory_mb=pages * os.sysconf("SC_PAGE_SIZE") // _MB, cpu_s=ticks / os.sysconf("SC_CLK_TCK"))
