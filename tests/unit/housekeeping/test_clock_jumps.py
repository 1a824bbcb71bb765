from __future__ import annotations

from datetime import UTC, datetime, timedelta

from scrivano.housekeeping.clock_jumps import ClockJumps


class Clocks:
    def __init__(self) -> None:
        self.wall, self.steady = datetime(2030, 1, 1, tzinfo=UTC), 100.0

    def advance(self, seconds: float, *, jump: float = 0.0) -> None:
        self.steady += seconds
        self.wall += timedelta(seconds=seconds + jump)

    def clock_jumps(self) -> ClockJumps:
        return ClockJumps(lambda: self.wall, lambda: self.steady)


def test_time_that_passes_is_not_a_jump() -> None:
    clocks = Clocks()
    clock_jumps = clocks.clock_jumps()

    clocks.advance(10_000)
    assert clock_jumps.check() == 0
    clocks.advance(3, jump=-0.5)
    assert clock_jumps.check() == 0


def test_a_jump_is_reported_once_with_its_direction() -> None:
    clocks = Clocks()
    clock_jumps = clocks.clock_jumps()

    clocks.advance(10, jump=7200)
    assert clock_jumps.check() == 7200
    assert clock_jumps.check() == 0
    clocks.advance(10, jump=-5 * 3600)
    assert clock_jumps.check() == -5 * 3600
