"""A `map` with several threads: the costly, stateless step of each item concurrently, the results in order.

For functions that release the interpreter's lock, as running a network does. Results never depend on the thread.
"""

from __future__ import annotations

import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Generic, Self, TypeVar

from scrivano.processes.child import available_cores

A = TypeVar("A")
B = TypeVar("B")

# Items taken ahead of the first unfinished one: enough to keep four cores busy, and half a minute of audio.
LEAD = 16

# The most threads in addition to the caller's. Decoding MP3 keeps the caller's thread as busy as the speech detector
# keeps all of these, FLAC a quarter of that, so more than four cores would have nothing to do. The model needs cores
# too.
MAX_THREADS = 3

# A lower priority than the model and the server have: a tenth of their share of a busy core. Measured with two cores
# that other processes kept busy: at 0 the work took 0.8 of the time of one thread, at the expense of the others; at 10
# it took 1.1, and the others lost no more than to one thread.
NICE = 10


def spare_cores() -> int:
    """How many threads to use: one for each core except the caller's own."""
    return max(1, min(available_cores() - 1, MAX_THREADS))


class ParallelMap:
    """`count` threads of low priority, which start with the first item and end with the `with` block.

    The caller's thread helps when they are late, so that on a busy machine the work continues at the caller's priority.
    """

    def __init__(self, count: int) -> None:
        self._pool = ThreadPoolExecutor(count, "parallel-map", initializer=_lower_priority)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(cancel_futures=True)

    def map(self, function: Callable[[A], B], items: Iterable[A]) -> Iterator[B]:
        """`function` of each item, in order. An error ends the iteration, as in the built-in `map`.

        Up to `LEAD` items are taken ahead; finished results are yielded before the next item is taken.
        """
        ahead: deque[_Task[A, B]] = deque()
        for item in items:
            ahead.append(_Task(self._pool, function, item))
            while ahead and (ahead[0].done or len(ahead) > LEAD):
                yield _first(ahead)
        while ahead:
            yield _first(ahead)


class _Task(Generic[A, B]):
    """One item, for a thread of the pool or the caller, whichever is free first."""

    def __init__(self, pool: ThreadPoolExecutor, function: Callable[[A], B], item: A) -> None:
        self._function = function
        # In a list that is emptied when the item is taken: the pool's queue keeps tasks that the caller has done, and
        # must not keep their audio.
        self._box = [item]
        self._future = pool.submit(_unpack, function, self._box)

    @property
    def done(self) -> bool:
        return self._future.done()

    def do(self) -> bool:
        """Do it in this thread. False: a thread of the pool has taken it."""
        if not self._future.cancel():
            return False
        self._future = Future()
        self._future.set_result(_unpack(self._function, self._box))
        return True

    def result(self) -> B:
        return self._future.result()


def _first(ahead: deque[_Task[A, B]]) -> B:
    """The result of the first task. While another thread works on it, this thread does tasks that are not started."""
    while not ahead[0].done and any(task.do() for task in ahead):
        pass
    return ahead.popleft().result()


def _unpack(function: Callable[[A], B], box: list[A]) -> B:
    return function(box.pop())


def _lower_priority() -> None:
    if sys.platform == "linux":  # elsewhere priorities are a process's, not a thread's
        thread = threading.get_native_id()
        # The server may have a lower one already (`nice`, a unit); nobody but root may raise it.
        os.setpriority(os.PRIO_PROCESS, thread, max(NICE, os.getpriority(os.PRIO_PROCESS, thread)))
