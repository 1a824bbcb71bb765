"""A child of a node, as a `processes.child.Process` of its dispatcher.

Two threads: one asks the node for what the child wrote, and so knows that the node lives; the other one passes on what
the child is to get. When the node does not answer, the child counts as killed.
"""

from __future__ import annotations

import io
import queue
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import IO, Any, Protocol, cast

from scrivano.cluster.node_child import Lines
from scrivano.cluster.start_failures import UnfitNodes, failed_node, start_failure

__all__ = ["NodeActor", "NodeLost", "RayProcess"]

# A node that does not answer for so long is lost. It answers at least every two seconds.
SILENCE_S = 15.0

# A child that does not run after so long waits for a place, and from then on says so this often.
PLACE_S = 1.5
PLACE_REPORT_S = 5.0

# How long one wait for an answer takes. A dispatcher that is stopped meanwhile loses only one of them.
SLICE_S = 1.0


class NodeLost(Exception):
    """The node, or its actor, does not answer, or has ended."""


class NodeActor(Protocol):
    """The actor of a `NodeChild`. Calls return when the node has answered. Raises `NodeLost`."""

    def begin(self) -> None:
        """Ask for a child; it may take long until there is a place for it."""

    def place(self, timeout_s: float) -> str | None:
        """The name of the node on which the child runs; None: there is none yet."""

    def write(self, line: bytes, attachment: bytes | None) -> None: ...

    def read(self, timeout_s: float) -> Lines | None:
        """None: no answer yet; the next call waits for the same one."""

    def release(self, *, reusable: bool) -> None:
        """The child has ended, or is to be. Returns at once, and does not raise."""


class RayProcess:
    """`queued`: a line for a child that waits for a place, in its place; `placed`: one for a child that runs now; None:
    none; `failed`: one for a child that cannot be started, with the reason. `attach` returns what belongs to a request,
    if anything. `silence_s`: a node that is silent so long is lost. `unfit`: gets the node if it cannot start a child.
    """

    pid = None

    def __init__(
        self,
        actor: NodeActor,
        *,
        queued: bytes | None = None,
        placed: Callable[[str], bytes] | None = None,
        failed: Callable[[str], bytes] | None = None,
        attach: Callable[[bytes], bytes | None] = lambda line: None,
        silence_s: float = SILENCE_S,
        unfit: UnfitNodes | None = None,
    ) -> None:
        self._unfit = unfit
        self._silence_s = silence_s
        self._actor = actor
        self._queued = queued
        self._placed = placed
        self._failed = failed
        self._attach = attach
        self._requests, self._messages, self._log = LineQueue(), LineQueue(), LineQueue()
        self.stdin = cast("IO[bytes]", self._requests)
        self.stdout = cast("IO[bytes]", self._messages)
        self.stderr = cast("IO[bytes]", self._log)
        self._lock = threading.Lock()
        self._returncode = 0
        self._ended = threading.Event()
        threading.Thread(target=self._run, name="node-out", daemon=True).start()

    def wait(self) -> int:
        self._ended.wait()
        return self._returncode

    def kill(self) -> None:
        self._end(-signal.SIGKILL)

    def _run(self) -> None:
        try:
            self._actor.begin()
            node = self._wait_for_place()
            if self._placed is not None:
                self._messages.put(self._placed(node))
            threading.Thread(target=self._send, name="node-in", daemon=True).start()
            self._end(self._receive())
        except NodeLost as error:
            self._log.put(str(error).encode())
            self._end(-signal.SIGKILL)
        except Exception as error:  # such as an actor that cannot be made: the node lacks something
            reason = start_failure(str(error))
            if self._unfit is not None and (unfit := failed_node(str(error))) is not None:
                self._unfit.add(unfit)
            self._log.put(reason.encode())
            if self._failed is not None:
                self._messages.put(self._failed(reason))
            self._end(1)

    def _wait_for_place(self) -> str:
        timeout_s = PLACE_S
        while (node := self._actor.place(timeout_s)) is None:
            if self._ended.is_set():
                raise NodeLost("it was killed before it ran")
            if self._queued is not None:
                self._messages.put(self._queued)
            timeout_s = PLACE_REPORT_S
        return node

    def _receive(self) -> int:
        """Pass on what the child writes, until it ends; returns its return code."""
        silent_s = 0.0
        while not self._ended.is_set():
            lines = self._actor.read(SLICE_S)
            if lines is None:
                silent_s += SLICE_S
                if silent_s >= self._silence_s:
                    raise NodeLost(f"the node did not answer for {silent_s:.0f} s")
                continue
            silent_s = 0.0
            for line in lines.log:
                self._log.put(line)
            for line in lines.messages:
                self._messages.put(line)
            if lines.returncode is not None:
                return lines.returncode
        return -signal.SIGKILL

    def _send(self) -> None:
        with suppress(NodeLost):
            while request := self._requests.readline():
                self._actor.write(request.rstrip(b"\n"), self._attach(request))

    def _end(self, returncode: int) -> None:
        with self._lock:
            if self._ended.is_set():
                return
            self._returncode = returncode
            self._ended.set()
        self._messages.end()
        self._log.end()
        self._actor.release(reusable=returncode == 0)


class LineQueue(io.RawIOBase):
    """Lines from one thread to another one as a file. Writing never waits: a child may not run yet."""

    def __init__(self) -> None:
        self._lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()

    def put(self, line: bytes) -> None:
        self._lines.put(line if line.endswith(b"\n") else line + b"\n")

    def end(self) -> None:
        """No more lines follow."""
        self._lines.put(b"")

    def write(self, line: Any, /) -> int:
        """`line`: a whole one."""
        if self.closed:
            raise ValueError("it is closed")
        self._lines.put(bytes(line))
        return len(line)

    def readline(self, size: int | None = -1, /) -> bytes:
        """Waits for the next line; empty: none follows."""
        line = self._lines.get()
        if not line:
            self._lines.put(line)
        return line

    def close(self) -> None:
        if not self.closed:
            self.end()
        super().close()
