"""A `ParallelMap` gives the results of the built-in `map`, whichever thread does the work."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from scrivano.media.parallel_map import LEAD, ParallelMap, spare_cores

DEADLINE_S = 20.0


def pool_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("parallel-map")]


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("items", [0, 1, LEAD, 5 * LEAD])
def test_results_are_those_of_map_in_order(count: int, items: int) -> None:
    with ParallelMap(count) as threads:
        assert list(threads.map(str, range(items))) == list(map(str, range(items)))


def test_at_most_lead_items_are_taken_ahead() -> None:
    taken: list[int] = []
    furthest = 0

    def items() -> Iterator[int]:
        for number in range(10 * LEAD):
            taken.append(number)
            yield number

    with ParallelMap(2) as threads:
        for given, _ in enumerate(threads.map(str, items())):
            furthest = max(furthest, len(taken) - given)

    assert furthest <= LEAD + 1


def test_the_caller_does_tasks_that_no_thread_has_started() -> None:
    mine = threading.current_thread()
    thread_is_busy, may_continue = threading.Event(), threading.Event()
    by_caller: list[int] = []

    def work(number: int) -> int:
        if threading.current_thread() is mine:
            by_caller.append(number)
            if len(by_caller) == LEAD:
                may_continue.set()
        else:
            thread_is_busy.set()
            assert may_continue.wait(DEADLINE_S)
        return number

    def items() -> Iterator[int]:
        yield 0
        assert thread_is_busy.wait(DEADLINE_S)
        yield from range(1, LEAD + 1)

    with ParallelMap(1) as threads:
        assert list(threads.map(work, items())) == list(range(LEAD + 1))

    assert by_caller == list(range(1, LEAD + 1))


@pytest.mark.parametrize("place", [0, LEAD // 2, 3 * LEAD])
def test_an_error_in_a_thread_ends_the_iteration_with_its_message(place: int) -> None:
    def work(number: int) -> int:
        if number == place:
            raise ValueError(f"item {number} is broken")
        return number

    done: list[int] = []
    with pytest.raises(ValueError, match=f"item {place} is broken"), ParallelMap(2) as threads:
        done.extend(threads.map(work, range(5 * LEAD)))

    assert pool_threads() == []


def test_an_error_of_the_items_ends_the_threads() -> None:
    def items() -> Iterator[int]:
        yield from range(LEAD)
        raise ValueError("damaged")

    with pytest.raises(ValueError, match="damaged"), ParallelMap(2) as threads:
        list(threads.map(str, items()))

    assert pool_threads() == []


def test_threads_start_with_the_first_item_and_end_with_the_block() -> None:
    with ParallelMap(2) as threads:
        assert pool_threads() == []
        list(threads.map(str, range(LEAD)))
        assert 1 <= len(pool_threads()) <= 2

    assert pool_threads() == []


def test_there_are_one_to_three_threads() -> None:
    assert 1 <= spare_cores() <= 3


AT_THE_LOWEST_PRIORITY = """
import os, sys, time
from scrivano.media.parallel_map import ParallelMap
os.nice(19)
if os.getuid() == 0:  # who may raise it again
    os.setuid(65534)
with ParallelMap(1) as threads:
    sys.exit(len(list(threads.map(time.sleep, [0.001] * 200))) != 200)
"""


def test_a_server_may_have_a_lower_priority_than_its_threads_take() -> None:
    done = subprocess.run([sys.executable, "-c", AT_THE_LOWEST_PRIORITY], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
