"""Doubts about segments, and conditions on the quality of a job."""

from __future__ import annotations

from dataclasses import replace

import pytest

from scrivano.domain.coverage import Span
from scrivano.domain.quality import Doubt, check_conditions, doubts_about, meets
from scrivano.domain.transcript import Segment, Word

GOOD = Segment(start=1, end=2, text="Good.", words=(Word(text="Good.", start=1, end=2, probability=0.9),))
SPEECH = (Span(0.5, 2.5),)
QUALITY = {
    "coverage": 0.95,
    "uncovered": [{"start": 1, "end": 2}],
    "repaired": 0,
    "loops_cut": 0,
    "doubtful": [],
    "word_probability": None,
}


@pytest.mark.parametrize(
    ("segment", "doubts"),
    [
        (GOOD, ()),
        (replace(GOOD, compression_ratio=3.0), (Doubt.REPEATS,)),
        (replace(GOOD, avg_logprob=-1.2), (Doubt.IMPROBABLE,)),
        (replace(GOOD, words=(replace(GOOD.words[0], probability=0.2),)), (Doubt.GUESSED,)),
        (replace(GOOD, text="word " * 20), (Doubt.TOO_FAST,)),
        (replace(GOOD, start=8, end=9), (Doubt.NO_SPEECH,)),
        (replace(GOOD, words=()), ()),
    ],
)
def test_each_doubt_has_its_reason(segment: Segment, doubts: tuple[Doubt, ...]) -> None:
    assert doubts_about(segment, SPEECH) == doubts


def test_where_speech_is_not_known_no_text_is_outside_of_it() -> None:
    assert doubts_about(GOOD, None) == ()
    assert doubts_about(GOOD, ()) == (Doubt.NO_SPEECH,)


@pytest.mark.parametrize(
    ("conditions", "met"),
    [
        ("coverage<0.98", True),
        ("coverage<0.9", False),
        ("coverage < .9, uncovered", True),
        ("doubtful,repaired,loops_cut", False),
        ("word_probability<1", False),
    ],
)
def test_a_condition_is_met_by_what_it_names(conditions: str, met: bool) -> None:
    assert meets(QUALITY, check_conditions(conditions)) is met


def test_without_quality_no_condition_keeps_a_webhook_back() -> None:
    assert meets(None, "uncovered")


@pytest.mark.parametrize("text", ["", "coverage", "coverage>1", "color<1", "uncovered,", "coverage<x"])
def test_other_conditions_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        check_conditions(text)
