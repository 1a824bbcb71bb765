"""Child processes that speak JSON lines: spawn, talk, watch, kill.

Messages go to the child's stdin and come from its stdout, one JSON object a line; its stderr becomes our log.
JSON, not pickle: a child decodes untrusted bytes, so nothing that it writes may run here.
"""

from __future__ import annotations

import ctypes
import json
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, Any, Protocol

logger = logging.getLogger(__name__)

# Longer lines end the child: no honest message is near this.
MAX_LINE_BYTES = 64 * 1024 * 1024

MAX_LOG_CHARS = 2000

PR_SET_PDEATHSIG = 1


def available_cores() -> int:
    """Those that this process may use, as far as the system tells."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


class Process(Protocol):
    """What runs a child. `stderr` None: somebody else reads it."""

    @property
    def stdin(self) -> IO[bytes] | None: ...
    @property
    def stdout(self) -> IO[bytes] | None: ...
    @property
    def stderr(self) -> IO[bytes] | None: ...

    def wait(self) -> int:
        """The return code, as in `subprocess`. One thread calls this, once."""

    def kill(self) -> None:
        """Have it end; does not wait."""


class Spawned(subprocess.Popen[bytes]):
    """A program in a process group of its own, which ends with it."""

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str] | None = None, stdin: int = subprocess.PIPE
    ) -> None:
        """`environment` is added to this process's own."""
        super().__init__(
            command,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            env={**os.environ, **(environment or {})},
        )

    def kill(self) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)


@dataclass(frozen=True, slots=True)
class Message:
    """What a child said. `child` lets the receiver ignore one that it has killed."""

    child: Child
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Exited:
    """The child ended; nothing more comes from it. `returncode` as in `subprocess`: negative for a signal.

    `nonsense`: what it said that cannot be understood; it was killed for that.
    """

    child: Child
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


class Child:
    """A running child.

    `deliver` is called from a thread of the child's own, with `Message`s in order and one `Exited` at the end. `about`
    goes into its log lines.
    """

    def __init__(
        self,
        name: str,
        process: Process,
        deliver: Callable[[Message | Exited], None],
        about: Mapping[str, object] | None = None,
    ) -> None:
        self.name = name
        self._about = about
        self._process = process
        self._deliver = deliver
        self._ended = threading.Event()
        threading.Thread(target=self._read, name=f"{name}-out", daemon=True).start()
        if process.stderr is not None:
            threading.Thread(target=self._log, name=f"{name}-err", daemon=True).start()

    def send(self, body: Mapping[str, Any]) -> None:
        """Write one message. A child that has ended is silent here: its `Exited` tells."""
        assert self._process.stdin is not None
        with suppress(OSError, ValueError):
            self._process.stdin.write(json.dumps(body).encode() + b"\n")
            self._process.stdin.flush()

    def kill(self, wait_s: float = 5.0) -> bool:
        """End the child, and wait until its memory is given back; False: it was not so far in time.

        Killing twice is fine.
        """
        self._process.kill()
        return self._ended.wait(wait_s)

    @property
    def ended(self) -> bool:
        return self._ended.is_set()

    def _read(self) -> None:
        assert self._process.stdout is not None
        nonsense = None
        try:
            for body in _messages(self._process.stdout):
                self._deliver(Message(self, body))
        except ValueError as error:
            logger.error("%s answered nonsense: %s", self.name, error, extra=self._about)
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
    """Linux: be killed with the thread that started us. Elsewhere closed pipes do it, a little later."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _no_number(name: str) -> None:
    """NaN and Infinity: no honest message has them, and no reader of JSON would understand them."""
    raise ValueError(f"a message with {name}")


def _messages(stream: IO[bytes]) -> Any:
    while line := stream.readline(MAX_LINE_BYTES):
        body = json.loads(line, parse_constant=_no_number)
        if not isinstance(body, dict) or not isinstance(body.get("type"), str):
            raise ValueError("a message is a JSON object with a type")
        yield body
