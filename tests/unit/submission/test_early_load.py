"""When the model is loaded for an upload that is still arriving."""

from __future__ import annotations

from scrivano.submission.early_load import SOON_S, EarlyLoad

MB = 1_000_000


def loaded_after(size_bytes: int | None, bytes_per_s: float, until_s: float) -> float | None:
    """When an upload at this rate loads the model, in seconds; it is long from 0.5 s on. None: not at all."""
    time_s, loads = 0.0, list[float]()
    early = EarlyLoad(size_bytes, lambda: loads.append(time_s), now=lambda: time_s)
    while time_s < until_s:
        time_s += 0.1
        early.receive(int(bytes_per_s / 10))
        if time_s >= 0.5:
            early.announce_long()
    assert len(loads) <= 1
    return loads[0] if loads else None


def test_an_upload_that_ends_soon_is_checked_as_a_whole_first() -> None:
    assert loaded_after(3 * MB, 1 * MB, until_s=3) is None


def test_the_model_loads_during_an_upload_that_takes_long() -> None:
    assert 0.4 < (loaded_after(60 * MB, 1 * MB, until_s=60) or 0) < 0.7


def test_the_model_loads_at_once_if_the_end_is_unknown() -> None:
    assert 0.4 < (loaded_after(None, 1 * MB, until_s=2) or 0) < 0.7


def test_an_end_that_was_near_and_does_not_come_is_not_waited_for() -> None:
    assert (loaded_after(5 * MB, 0.9 * MB, until_s=6) or 0) <= SOON_S + 0.2
