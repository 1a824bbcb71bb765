"""Limits that this process sets on itself before it reads the first byte of an untrusted file."""

from __future__ import annotations

import math
import resource
import signal
import time
from types import FrameType

from scrivano.domain.errors import MediaError
from scrivano.media.source import ADVICE

# For each of up to eight sides the recording and a prepared file, the three standard streams, and what libraries open.
OPEN_FILES = 32
# CPU seconds between SIGXCPU, which ends the preparation with an error message, and the kernel's SIGKILL.
GRACE_S = 5


def limit_process(*, file_bytes: int, memory_bytes: int | None, cpu_s: int | None) -> None:
    """Limit core dumps, written files, open files, data memory, and CPU time counted from now. None: no limit.

    When the CPU time is used up, `MediaError` (`media_timeout`) is raised in the main thread.
    """
    _lower(resource.RLIMIT_CORE, 0)
    _lower(resource.RLIMIT_FSIZE, file_bytes)
    _lower(resource.RLIMIT_NOFILE, OPEN_FILES)
    if memory_bytes is not None:
        # Not RLIMIT_AS: libraries and thread arenas reserve far more addresses than they ever use.
        _lower(resource.RLIMIT_DATA, memory_bytes)
    if cpu_s is not None:
        signal.signal(signal.SIGXCPU, _out_of_time)
        soft = math.ceil(time.process_time()) + cpu_s
        _lower(resource.RLIMIT_CPU, soft, soft + GRACE_S)


def _lower(kind: int, soft: int, hard: int | None = None) -> None:
    """Set a limit that cannot be raised again, never above the limit that this process was started with."""
    allowed = resource.getrlimit(kind)[1]
    ceiling = soft if hard is None else hard
    if allowed != resource.RLIM_INFINITY:
        soft, ceiling = min(soft, allowed), min(ceiling, allowed)
    resource.setrlimit(kind, (soft, ceiling))


def _out_of_time(_signal: int, _frame: FrameType | None) -> None:
    """PyAV's resampler may swallow the error, but the kernel repeats the signal every second up to the hard limit."""
    raise MediaError("media_timeout", f"the file takes too long to read; {ADVICE}")
