"""A child process: start it, send it messages, read its messages, kill it.

Messages are one JSON object a line (see `messages`), on its stdin and its stdout; its stderr becomes our log. JSON, not
pickle: a child decodes untrusted bytes, so nothing that it writes may run here.
"""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, Generic, Protocol, TypeVar

logger = logging.getLogger(__name__)

# A child that writes a longer line is killed: no message is nearly so long.
MAX_LINE_BYTES = 64 * 1024 * 1024

MAX_LOG_CHARS = 2000

PR_SET_PDEATHSIG = 1

# Libraries that report their use to their makers. They read these variables when they are imported, so a child must be
# started with them. (onnxruntime from 1.29 on looks up a collector's host, and writes a device id into HOME.)
NO_TELEMETRY = {"ORT_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "DO_NOT_TRACK": "1"}

# What is for the server alone. A child decodes untrusted bytes; it reads local files and needs no credentials.
WITHHELD = ("AWS_", "BLOB_", "DATABASE_URL", "RAY_", "WEBHOOK_SECRET")

M = TypeVar("M")


def available_cores() -> int:
    """The cores that this process may use, as far as the system says."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


class Process(Protocol):
    """The operating system's side of a child. `stderr` None: another process reads it. `pid` None: it is not known."""

    @property
    def pid(self) -> int | None: ...

    @property
    def stdin(self) -> IO[bytes] | None: ...
    @property
    def stdout(self) -> IO[bytes] | None: ...
    @property
    def stderr(self) -> IO[bytes] | None: ...

    def wait(self) -> int:
        """The return code, as in `subprocess`. One thread calls this, once."""

    def kill(self) -> None:
        """Kill it; returns at once."""


class Spawned(subprocess.Popen[bytes]):
    """A program in its own process group, so that a kill reaches what it has started, too."""

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str] | None = None, stdin: int = subprocess.PIPE
    ) -> None:
        """`environment` is added to that of this process, without what is `WITHHELD`."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(WITHHELD)}
        super().__init__(
            command,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            env={**inherited, **NO_TELEMETRY, **(environment or {})},
        )

    def kill(self) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)


@dataclass(frozen=True, slots=True)
class Received(Generic[M]):
    """A message of a child. `child` lets the receiver ignore one that it has killed."""

    child: Child[M]
    message: M


@dataclass(frozen=True, slots=True)
class Exited(Generic[M]):
    """The child ended; no more messages follow. `returncode` as in `subprocess`: negative for a signal.

    `nonsense`: what it wrote that is no message; it was killed for that.
    """

    child: Child[M]
    returncode: int
    nonsense: str | None = None

    @property
    def reason(self) -> str:
        if self.nonsense is not None:
            return f"nonsense: {self.nonsense}"
        if self.returncode >= 0:
            return f"exit code {self.returncode}"
        with suppress(ValueError):
            return f"signal {signal.Signals(-self.returncode).name}"
        return f"signal {-self.returncode}"

    @property
    def killed_from_outside(self) -> bool:
        """SIGKILL and SIGTERM come from an operator or the kernel's memory killer, not from a fault of the child."""
        return self.nonsense is None and self.returncode in (-signal.SIGKILL, -signal.SIGTERM)


class Child(Generic[M]):
    """A running child.

    `parse` makes a message of a line and raises `ValueError` for anything else. `deliver` is called on a thread of the
    child, with each message in order and one `Exited` at the end. `about` is added to its log lines.
    """

    def __init__(
        self,
        name: str,
        process: Process,
        parse: Callable[[bytes], M],
        deliver: Callable[[Received[M] | Exited[M]], None],
        about: Mapping[str, object] | None = None,
    ) -> None:
        self.name = name
        self._about = about
        self._process = process
        self._parse = parse
        self._deliver = deliver
        self._ended = threading.Event()
        threading.Thread(target=self._read, name=f"{name}-out", daemon=True).start()
        if process.stderr is not None:
            threading.Thread(target=self._log, name=f"{name}-err", daemon=True).start()

    def send(self, line: bytes) -> None:
        """Write one message. Nothing happens if the child has ended: its `Exited` follows."""
        assert self._process.stdin is not None
        with suppress(OSError, ValueError):
            self._process.stdin.write(line + b"\n")
            self._process.stdin.flush()

    def kill(self, wait_s: float = 5.0) -> bool:
        """Kill the child, and wait until its memory is free; False: that took too long. Killing twice is fine."""
        self._process.kill()
        return self._ended.wait(wait_s)

    @property
    def ended(self) -> bool:
        return self._ended.is_set()

    def _read(self) -> None:
        assert self._process.stdout is not None
        nonsense = None
        try:
            while line := self._process.stdout.readline(MAX_LINE_BYTES):
                self._deliver(Received(self, self._parse(line)))
        except ValueError as error:
            logger.error("%s wrote something that is no message: %s", self.name, error, extra=self._about)
            nonsense = str(error)
            self._process.kill()
        self._process.stdout.close()
        returncode = self._process.wait()
        self._ended.set()
        with suppress(OSError):
            if self._process.stdin is not None:
                self._process.stdin.close()
        self._deliver(Exited(self, returncode, nonsense))

    def _log(self) -> None:
        assert self._process.stderr is not None
        with self._process.stderr as lines:
            for line in lines:
                text = line.decode(errors="replace").rstrip()[:MAX_LOG_CHARS]
                if text:
                    logger.info("%s: %s", self.name, text, extra=self._about)


def die_with_parent() -> None:
    """Linux: be killed when the thread that started this process ends. Elsewhere the closed pipes end it, a little
    later."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
