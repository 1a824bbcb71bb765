from __future__ import annotations

from datetime import UTC, datetime, timedelta

from scrivano.housekeeping.clock_jumps import ClockJumps


class Clocks:
    def __init__(self) -> None:
        self.wall, self.steady = datetime(2030, 1, 1, tzinfo=UTC), 100.0

    def go_on(self, seconds: float, *, jump: float = 0.0) -> None:
        self.steady += seconds
        self.wall += timedelta(seconds=seconds + jump)

    def jumps(self) -> ClockJumps:
        return ClockJumps(lambda: self.wall, lambda: self.steady)


def test_time_that_goes_by_is_no_jump() -> None:
    clocks = Clocks()
    jumps = clocks.jumps()

    clocks.go_on(10_000)
    assert jumps.look() == 0
    clocks.go_on(3, jump=-0.5)
    assert jumps.look() == 0


def test_a_jump_is_told_once_with_its_direction() -> None:
    clocks = Clocks()
    jumps = clocks.jumps()

    clocks.go_on(10, jump=7200)
    assert jumps.look() == 7200
    assert jumps.look() == 0
    clocks.go_on(10, jump=-5 * 3600)
    assert jumps.look() == -5 * 3600
