from __future__ import annotations

import math
from typing import Any

import pytest

from scrivano.processes.engine_results import results_of

WORD = {"text": "one", "start": 0.1, "end": 0.5, "probability": 0.9}
SEGMENT = {"text": "one", "start": 0.0, "end": 1.0, "avg_logprob": -0.1, "words": [WORD]}
NONSENSE = "no result of a batch|results for|is no |is not between"
RESULT = {"language": "en", "language_probability": 1, "segments": [SEGMENT], "language_probabilities": {"en": 1.0}}


def test_an_honest_answer_is_taken_as_it_is() -> None:
    assert results_of({"results": [RESULT, RESULT], "secs": 2}, 2) == ([RESULT, RESULT], 2)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"results": [RESULT]},
        {"results": [RESULT], "secs": "1"},
        {"results": [RESULT], "secs": -1},
        {"results": None, "secs": 1},
        {"results": [], "secs": 1},
        {"results": ["text"], "secs": 1},
    ],
)
def test_what_is_no_batch_is_nonsense(body: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=NONSENSE):
        results_of(body, 1)


@pytest.mark.parametrize(
    "change",
    [
        {"language": None},
        {"language_probability": 2},
        {"language_probability": True},
        {"language_probabilities": {"en": math.nan}},
        {"segments": None},
        {"segments": [{**SEGMENT, "start": -1}]},
        {"segments": [{**SEGMENT, "end": 1e9}]},
        {"segments": [{**SEGMENT, "start": 2.0}]},
        {"segments": [{**SEGMENT, "text": 7}]},
        {"segments": [{**SEGMENT, "avg_logprob": math.inf}]},
        {"segments": [{**SEGMENT, "words": [{**WORD, "end": None}]}]},
        {"segments": [{**SEGMENT, "words": [{}]}]},
    ],
)
def test_a_result_that_cannot_be_is_nonsense(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=NONSENSE):
        results_of({"results": [RESULT | change], "secs": 1.0}, 1)
