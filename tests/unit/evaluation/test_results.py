"""Results as JSON, written and read again."""

from __future__ import annotations

import json

import pytest
from evaluation_support import scored

from scrivano.evaluation.differences import difference
from scrivano.evaluation.results import Result, UnreadableResults, report_json, results_of

SCORE = scored("one two three", "one too three")
RESULT = Result(name="base", seconds=5.0, transcripts={"a.wav": SCORE.transcribed}, settings={"beam_size": "1"})


def report() -> str:
    other = scored("one two three", "one two three")
    compared = {"all": difference([(SCORE, other)], 1)}
    return report_json([RESULT], [{"a.wav": SCORE}], [("base", "small", compared)], 1)


def test_results_are_read_as_they_were_written() -> None:
    [found] = results_of(report())

    assert (found.name, found.seconds, found.settings, found.rtfx) == ("base", 5.0, {"beam_size": "1"}, 2.0)
    [segment] = found.transcripts["a.wav"].segments
    assert (segment.text, segment.words) == ("one too three", SCORE.transcribed.segments[0].words)


def test_a_report_has_all_figures() -> None:
    found = json.loads(report())

    system = found["systems"][0]
    assert (system["rtfx"], system["all"]["wer"], system["by_language"]["it"]["errors"]) == (2.0, 0.33333, 1)
    assert system["all"]["times"]["word_starts"] == {"count": 2, "median": 0.0, "p95": 0.0}
    assert system["recordings"]["a.wav"]["counts"] == {"equal": 2, "substituted": 1, "deleted": 0, "inserted": 0}
    comparison = found["comparisons"][0]["by_language"]["all"]
    assert (comparison["only_b"], comparison["comparison"]["difference"], comparison["significant"]) == (
        1,
        -0.33333,
        False,
    )


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"format": "other"}', '{"format": "scrivano-evaluation"}'])
def test_other_files_are_refused(text: str) -> None:
    with pytest.raises(UnreadableResults, match="scrivano evaluate --json"):
        results_of(text)
