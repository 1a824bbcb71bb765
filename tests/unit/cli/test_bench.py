from __future__ import annotations

import pytest

from scrivano.cli.bench import Measured, copies


@pytest.mark.parametrize(("alone_s", "count"), [(0.0, 32), (1.0, 32), (10.0, 4), (39.0, 2), (300.0, 2)])
def test_the_second_measurement_takes_under_a_minute_where_that_is_possible(alone_s: float, count: int) -> None:
    assert copies(alone_s) == count


def test_an_hour_is_counted_from_what_was_measured() -> None:
    measured = Measured(model="m", load_s=1.0, audio_s=120.0, alone_s=12.0, together_s=24.0, count=4, memory_mb=500)

    assert (measured.hour_alone_min, measured.hour_together_min) == (6.0, 3.0)
