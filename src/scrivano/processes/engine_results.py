"""What an engine said, checked before it is believed: a child that has gone wrong may say anything. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["results_of"]

# Times in a chunk of at most 30 s; a window's own clock goes a little beyond the audio, and rounding, too.
LAST_SECOND = 60.0


def results_of(body: Mapping[str, Any], count: int) -> tuple[Sequence[Mapping[str, Any]], float]:
    """The results of a batch of so many chunks, and the seconds that it took. Raises ValueError for nonsense."""
    try:
        results, secs = body["results"], _number(body["secs"], 0, math.inf)
        if len(results) != count:
            raise ValueError(f"{len(results)} results for {count} chunks")
        for result in results:
            _check(result)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"no result of a batch: {error!r}") from error
    return results, secs


def _check(result: Mapping[str, Any]) -> None:
    _text(result["language"])
    _number(result["language_probability"], 0, 1)
    for language, probability in result.get("language_probabilities", {}).items():
        _text(language)
        _number(probability, 0, 1)
    for segment in result["segments"]:
        _check_times(segment)
        for name in ("avg_logprob", "no_speech_prob", "compression_ratio", "temperature"):
            _number(segment.get(name, 0.0), -math.inf, math.inf)
        for word in segment.get("words", ()):
            _check_times(word)
            _number(word["probability"], -math.inf, math.inf)


def _check_times(spoken: Mapping[str, Any]) -> None:
    _text(spoken["text"])
    start = _number(spoken["start"], 0, LAST_SECOND)
    _number(spoken["end"], start, LAST_SECOND)


def _text(value: object) -> None:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is no text")


def _number(value: object, least: float, most: float) -> float:
    """Finite, too. Raises ValueError."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{value!r} is no number")
    if not least - SLACK <= value <= most + SLACK:
        raise ValueError(f"{value!r} is not between {least:g} and {most:g}")
    return value


# What floats may differ by that should be equal.
SLACK = 1e-3
