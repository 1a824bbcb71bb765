"""A program on this machine, for a while: its log, and the end of it and of all that it has started."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from scrivano.domain.errors import StartError

__all__ = ["Program", "end_tree", "kill_tree", "tree", "wait_until"]

T = TypeVar("T")

START_S = 120.0
STOP_S = 20.0


class Program:
    """A process with a log, which is read so that it never blocks. `lines`: those so far."""

    def __init__(self, name: str, command: Sequence[str], env: Mapping[str, str]) -> None:
        self.name = name
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            command,
            env={**os.environ, **env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            self.lines.extend(lines)

    def logged(self) -> list[dict[str, object]]:
        """The log lines that are JSON."""
        found = []
        for line in list(self.lines):
            with suppress(ValueError):
                found.append(json.loads(line))
        return [line for line in found if isinstance(line, dict)]

    def wait_for(self, message: str, timeout_s: float = START_S) -> dict[str, object]:
        """The first log line with this message. Raises `StartError`."""

        def find() -> dict[str, object] | None:
            if self.process.poll() is not None:
                raise StartError(f"{self.name} has ended: {''.join(self.lines[-5:]).strip()}")
            return next((line for line in self.logged() if line.get("message") == message), None)

        return wait_until(find, f"{self.name} did not start", timeout_s)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """It and all that it has started do not go on meanwhile."""
        pids = tree(self.process.pid)
        _signal(pids, signal.SIGSTOP)
        try:
            yield
        finally:
            _signal(pids, signal.SIGCONT)

    def stop(self) -> None:
        """With SIGTERM, and if that does not help, kill it."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                kill_tree(self.process.pid)
        self.process.wait()
        self._reader.join(STOP_S)


def tree(pid: int) -> list[int]:
    """A process and all its descendants (Linux)."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
    found, generation = [pid], [pid]
    while generation:
        generation = [child for child, parent in parents.items() if parent in generation]
        found += generation
    return found


def kill_tree(pid: int) -> None:
    pids = tree(pid)
    _signal(pids, signal.SIGSTOP)  # so that none starts another one meanwhile
    _signal([*pids, *tree(pid)], signal.SIGKILL)


def end_tree(program: Program) -> None:
    if program.process.poll() is None:
        kill_tree(program.process.pid)
    program.stop()


def _signal(pids: Sequence[int], number: int) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def wait_until(condition: Callable[[], T | None], message: str, timeout_s: float = START_S) -> T:
    """Wait until the result is true, and return that. Raises `StartError`."""
    deadline = time.monotonic() + timeout_s
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise StartError(f"{message} within {timeout_s:g} s")
        time.sleep(0.05)
    return found
