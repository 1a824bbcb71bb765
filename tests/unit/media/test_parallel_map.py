"""ParallelMap give what the built-in `map` gives, whoever does the work."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from scrivano.media.parallel_map import LEAD, ParallelMap, spare_cores

DEADLINE_S = 20.0


def lane_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("lane")]


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("items", [0, 1, LEAD, 5 * LEAD])
def test_results_are_those_of_map_in_order(count: int, items: int) -> None:
    with ParallelMap(count) as lanes:
        assert list(lanes.map(str, range(items))) == list(map(str, range(items)))


def test_items_are_taken_ahead_but_not_too_far() -> None:
    taken: list[int] = []
    furthest = 0

    def items() -> Iterator[int]:
        for number in range(10 * LEAD):
            taken.append(number)
            yield number

    with ParallelMap(2) as lanes:
        for given, _ in enumerate(lanes.map(str, items())):
            furthest = max(furthest, len(taken) - given)

    assert furthest <= LEAD + 1


def test_the_caller_does_what_a_lane_does_not_come_to() -> None:
    mine = threading.current_thread()
    lane_is_busy, may_go_on = threading.Event(), threading.Event()
    by_caller: list[int] = []

    def work(number: int) -> int:
        if threading.current_thread() is mine:
            by_caller.append(number)
            if len(by_caller) == LEAD:
                may_go_on.set()
        else:
            lane_is_busy.set()
            assert may_go_on.wait(DEADLINE_S)
        return number

    def items() -> Iterator[int]:
        yield 0
        assert lane_is_busy.wait(DEADLINE_S)
        yield from range(1, LEAD + 1)

    with ParallelMap(1) as lanes:
        assert list(lanes.map(work, items())) == list(range(LEAD + 1))

    assert by_caller == list(range(1, LEAD + 1))


@pytest.mark.parametrize("place", [0, LEAD // 2, 3 * LEAD])
def test_an_error_in_a_lane_ends_the_work_with_its_message(place: int) -> None:
    def work(number: int) -> int:
        if number == place:
            raise ValueError(f"item {number} is broken")
        return number

    done: list[int] = []
    with pytest.raises(ValueError, match=f"item {place} is broken"), ParallelMap(2) as lanes:
        done.extend(lanes.map(work, range(5 * LEAD)))

    assert lane_threads() == []


def test_an_error_of_the_items_ends_the_lanes() -> None:
    def items() -> Iterator[int]:
        yield from range(LEAD)
        raise ValueError("damaged")

    with pytest.raises(ValueError, match="damaged"), ParallelMap(2) as lanes:
        list(lanes.map(str, items()))

    assert lane_threads() == []


def test_lanes_start_with_the_first_work_and_end_with_the_block() -> None:
    with ParallelMap(2) as lanes:
        assert lane_threads() == []
        list(lanes.map(str, range(LEAD)))
        assert 1 <= len(lane_threads()) <= 2

    assert lane_threads() == []


def test_a_machine_has_at_least_one_lane_and_not_many() -> None:
    assert 1 <= spare_cores() <= 3
