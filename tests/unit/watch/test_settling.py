from __future__ import annotations

from scrivano.watch.settling import Settling, Stamp


def test_a_file_has_settled_when_it_stays_the_same_for_long_enough() -> None:
    settling = Settling(10)
    small, large = Stamp(5, 1), Stamp(9, 1)

    assert settling.settled({"a": small}, 0) == []
    assert settling.settled({"a": small}, 9.9) == []
    assert settling.settled({"a": large, "b": small}, 10) == []
    assert settling.settled({"a": large, "b": small}, 19.9) == []
    assert settling.settled({"b": small, "a": large}, 20) == ["a", "b"]


def test_a_changed_time_alone_starts_the_wait_again() -> None:
    settling = Settling(10)
    settling.settled({"a": Stamp(5, 1)}, 0)

    assert settling.settled({"a": Stamp(5, 2)}, 12) == []
    assert settling.settled({"a": Stamp(5, 2)}, 22) == ["a"]


def test_a_file_that_was_away_waits_again_and_an_empty_one_settles_like_others() -> None:
    settling = Settling(10)
    settling.settled({"a": Stamp(5, 1), "empty": Stamp(0, 1)}, 0)
    settling.settled({"empty": Stamp(0, 1)}, 5)

    assert settling.settled({"a": Stamp(5, 1), "empty": Stamp(0, 1)}, 30) == ["empty"]
