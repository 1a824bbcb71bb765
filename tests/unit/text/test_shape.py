from __future__ import annotations

import pytest

from scrivano.domain.errors import BadRequest
from scrivano.text.cue import Cue
from scrivano.text.shape import PROFILES, Shape, breaches, shape_of


def test_single_limits_override_those_of_the_profile() -> None:
    assert shape_of(None, {}) == Shape(
        max_line_chars=42, max_lines=2, max_cue_secs=7.0, min_cue_secs=1.0, max_chars_per_sec=17.0
    )
    assert shape_of("bbc", {"max_lines": 3, "max_line_chars": None}).max_line_chars == 37
    assert shape_of("bbc", {"max_lines": 3, "max_line_chars": None}).max_lines == 3
    assert PROFILES["netflix"].min_cue_ms == 833


def test_an_unknown_profile_and_contradicting_limits_are_refused() -> None:
    with pytest.raises(BadRequest, match="one of netflix, bbc, youtube"):
        shape_of("cinema", {})
    with pytest.raises(BadRequest, match="min_cue_secs"):
        shape_of("bbc", {"max_cue_secs": 0.5})


def test_a_breach_of_each_limit_is_reported() -> None:
    found = breaches([Cue(0, 500, "one\ntwo\n" + "x" * 43), Cue(500, 7501, "y")], Shape())

    assert [(breach.cue, breach.rule, breach.value, breach.limit) for breach in found] == [
        (1, "max_line_chars", 43, 42),
        (1, "max_lines", 3, 2),
        (1, "min_cue_secs", 0.5, 1.0),
        (1, "max_chars_per_sec", 98.0, 17.0),
        (2, "max_cue_secs", 7.001, 7.0),
    ]
