"""Several threads for one row of work: the costly, stateless step of each item, the results in order.

For work that gives the interpreter's lock away, as a network's does. What comes out never depends on who did it.
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

# Items taken before the first of them must be done: enough to keep four cores busy, and half a minute of audio.
LEAD = 16

# ParallelMap beside the caller's thread. Decoding MP3 costs as much as the lanes' work on it and keeps one busy, FLAC a
# quarter: so four cores are the most that get something to do. The model needs cores, too.
MOST = 3

# Behind the model and the server: a tenth of their share where they want the core too. Measured with two cores kept
# busy by others: at 0 the work took 0.8 of what one thread takes, at their cost; at 10 it took 1.1, so that they lose
# no more to it than to one thread.
NICE = 10


def spare_cores() -> int:
    """How many lanes this process should have: a lane for each core but the caller's own."""
    return max(1, min(available_cores() - 1, MOST))


class ParallelMap:
    """`count` threads of low priority. They start with the first work, and end with the `with` block.

    The caller's thread works too where the lanes are late, so that on a busy machine the work goes on at the caller's
    own priority.
    """

    def __init__(self, count: int) -> None:
        self._pool = ThreadPoolExecutor(count, "lane", initializer=_step_back)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(cancel_futures=True)

    def map(self, function: Callable[[A], B], items: Iterable[A]) -> Iterator[B]:
        """`function` of each item, in order. An error ends it, as in the built-in `map`.

        An item is taken while those before it are at work, up to `LEAD` of them; what is done is given out before
        the next one is taken.
        """
        ahead: deque[_Task[A, B]] = deque()
        for item in items:
            ahead.append(_Task(self._pool, function, item))
            while ahead and (ahead[0].done or len(ahead) > LEAD):
                yield _first(ahead)
        while ahead:
            yield _first(ahead)


class _Task(Generic[A, B]):
    """One item, for the lane or the caller, whoever comes first."""

    def __init__(self, pool: ThreadPoolExecutor, function: Callable[[A], B], item: A) -> None:
        self._function = function
        # In a box that whoever takes it empties: the pool's queue holds on to tasks that were done elsewhere.
        self._box = [item]
        self._future = pool.submit(_unpack, function, self._box)

    @property
    def done(self) -> bool:
        return self._future.done()

    def do(self) -> bool:
        """Do it in this thread. False: a lane has it."""
        if not self._future.cancel():
            return False
        self._future = Future()
        self._future.set_result(_unpack(self._function, self._box))
        return True

    def result(self) -> B:
        return self._future.result()


def _first(ahead: deque[_Task[A, B]]) -> B:
    """The result of the first task. While a lane is at it, this thread does the next that none has begun."""
    while not ahead[0].done and any(task.do() for task in ahead):
        pass
    return ahead.popleft().result()


def _unpack(function: Callable[[A], B], box: list[A]) -> B:
    return function(box.pop())


def _step_back() -> None:
    if sys.platform == "linux":  # elsewhere priorities are a process's, not a thread's
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
