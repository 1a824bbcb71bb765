"""Time stamps of frames → where the frames belong."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scrivano.media.clock import Clock, ClockOptions, Stretch

FRAME_S = 0.02


def steady(seconds: float, start: float = 0.0, step: float = FRAME_S) -> list[float]:
    """Time stamps of frames of 20 ms."""
    return [start + number * step for number in range(round(seconds / FRAME_S))]


def placed(times: Iterable[float | None], clock: Clock) -> list[Stretch]:
    stretches: list[Stretch] = []
    for time in times:
        stretches += clock.push(time, FRAME_S)
    return stretches + clock.finish()


def steps(stretches: Iterable[Stretch]) -> list[float]:
    return [round(stretch.start, 3) for stretch in stretches if stretch.step]


def test_audio_without_faults_just_goes_on() -> None:
    clock = Clock(ClockOptions(origin=5.0))

    stretches = placed(steady(10, start=5.0), clock)

    assert steps(stretches) == []
    assert {stretch.speed for stretch in stretches} == {1.0}
    assert sum(stretch.frames for stretch in stretches) == 500
    assert clock.position == pytest.approx(10)


@pytest.mark.parametrize("gap", [0.1, 0.45, 20.0])
def test_a_gap_is_silence(gap: float) -> None:
    clock = Clock(ClockOptions(claimed=5.0))

    stretches = placed([*steady(2.6), *steady(2, start=2.6 + gap)], clock)

    assert steps(stretches) == [round(2.6 + gap, 3)]
    assert clock.position == pytest.approx(4.6 + gap)


def test_a_late_start_is_silence() -> None:
    assert steps(placed(steady(3, start=1.0), Clock(ClockOptions()))) == [1.0]


def test_overlaps_are_cut_back_to_the_clock() -> None:
    clock = Clock(ClockOptions())
    times = [time for segment in range(10) for time in steady(0.5, start=segment * 0.45)]

    stretches = placed(times, clock)

    assert steps(stretches) == [round(segment * 0.45, 3) for segment in range(1, 10)]
    assert clock.position == pytest.approx(9 * 0.45 + 0.5)


def test_a_clock_that_runs_at_another_speed_is_followed() -> None:
    clock = Clock(ClockOptions())

    stretches = placed(steady(20, step=0.9 * FRAME_S), clock)

    assert steps(stretches) == []
    assert clock.position == pytest.approx(18, abs=0.05)
    assert all(stretch.speed == pytest.approx(1 / 0.9, rel=0.01) for stretch in stretches)


def test_late_packets_change_nothing() -> None:
    times = steady(10)
    for late in (100, 260, 261, 400):
        times[late] += 0.15

    stretches = placed(times, Clock(ClockOptions()))

    assert steps(stretches) == []


@pytest.mark.parametrize("jump", [25 * 3600.0, 86_000.0, -3600.0])
def test_an_impossible_jump_is_not_followed(jump: float) -> None:
    clock = Clock(ClockOptions(max_gap=600.0))

    stretches = placed([*steady(3, start=5000), *steady(3, start=5003 + jump)], clock)

    assert steps(stretches) == []
    assert clock.position == pytest.approx(6)
    assert 3.0 in [pytest.approx(at) for at in clock.jumps]


def test_recordings_that_were_joined_follow_each_other() -> None:
    clock = Clock(ClockOptions())

    placed([*steady(1), *steady(1), *steady(1)], clock)

    assert clock.position == pytest.approx(3)


def test_formats_without_time_stamps_get_no_holes() -> None:
    times = [*steady(2), *steady(2, start=7.0)]

    assert steps(placed(times, Clock(ClockOptions(steady=None)))) == []
    assert steps(placed([time + 1 for time in times], Clock(ClockOptions(steady=False)))) == [1.0]


def test_frames_without_time_stamps_follow_the_one_before() -> None:
    clock = Clock(ClockOptions())

    assert steps(placed([time if number % 3 == 0 else None for number, time in enumerate(steady(6))], clock)) == []


@given(st.lists(st.one_of(st.none(), st.floats(-1e6, 1e6)), max_size=400))
def test_any_time_stamps_give_every_frame_a_place_in_order(times: list[float | None]) -> None:
    clock = Clock(ClockOptions(end=3600.0))

    stretches = placed(times, clock)

    assert sum(stretch.frames for stretch in stretches) == len(times)
    assert all(0 <= stretch.start <= 3600.0 + len(times) * FRAME_S for stretch in stretches)
    assert all(0.5 <= stretch.speed <= 2.0 for stretch in stretches)
