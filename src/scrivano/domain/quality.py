"""How far a transcript can be trusted: what is said of a job and of each of its segments. Pure."""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any

from scrivano.domain.coverage import Hole, Span, between, letters, seconds_of
from scrivano.domain.transcript import Segment

__all__ = [
    "FASTEST",
    "IN_SPEECH",
    "Doubt",
    "check_conditions",
    "doubts_about",
    "job_quality",
    "meets",
    "segment_quality",
    "word_probability",
]

# Whisper's thresholds: above, a text repeats itself; below, it is improbable.
REPEATS = 2.4
IMPROBABLE = -1.0

# Letters a second; auctioneers reach 30.
FASTEST = 35.0

# Text of which less than this part lies in detected speech was hardly said.
IN_SPEECH = 0.2

# Of the words in segments with a lower mean probability, 71 of 100 are wrong; in all others, 11 (`docs/accuracy.md`).
GUESSED = 0.65


class Doubt(StrEnum):
    """Why the text of a segment may be wrong."""

    REPEATS = "repeats"
    IMPROBABLE = "improbable"
    GUESSED = "guessed"
    TOO_FAST = "too_fast"
    NO_SPEECH = "no_speech"
    LANGUAGE = "language"


def doubts_about(segment: Segment, speech: Sequence[Span] | None) -> tuple[Doubt, ...]:
    """`speech`: what was detected, on the clock of the segment; None: not known. Doubts about its language stay."""
    seconds = segment.end - segment.start
    probability = word_probability(_probabilities([segment]))
    found = {
        Doubt.REPEATS: segment.compression_ratio > REPEATS,
        Doubt.IMPROBABLE: segment.avg_logprob < IMPROBABLE,
        Doubt.GUESSED: probability is not None and probability < GUESSED,
        Doubt.TOO_FAST: letters(segment.text) > FASTEST * max(seconds, 1.0),
        Doubt.NO_SPEECH: speech is not None
        and seconds_of(between(speech, segment.start, segment.end)) < IN_SPEECH * seconds,
        Doubt.LANGUAGE: Doubt.LANGUAGE in segment.doubts,
    }
    return tuple(doubt for doubt, applies in found.items() if applies)


def word_probability(probabilities: Sequence[float]) -> float | None:
    """The field `word_probability`: the mean over all words; None if there are none."""
    return _rounded(statistics.fmean(probabilities) if probabilities else None)


def _probabilities(segments: Iterable[Segment]) -> list[float]:
    return [word.probability for segment in segments for word in segment.words]


def segment_quality(segment: Segment) -> dict[str, Any]:
    """The field `quality` of a segment, as JSON values."""
    return {
        "word_probability": word_probability(_probabilities([segment])),
        "doubtful": list(segment.doubts),
        "repaired": segment.repaired,
    }


def job_quality(
    segments: Sequence[Segment], speech: Iterable[Span], holes: Sequence[Hole], *, repaired: int, loops_cut: int
) -> dict[str, Any]:
    """The field `quality` of a job, as JSON values. `holes`: where `speech` has no words in `segments`."""
    speech_s = seconds_of(speech)
    covered_s = speech_s - sum(hole.speech_s for hole in holes)
    return {
        "coverage": _rounded(max(0.0, covered_s / speech_s) if speech_s else None),
        "uncovered": [{"start": round(hole.start, 3), "end": round(hole.end, 3)} for hole in holes],
        "repaired": repaired,
        "loops_cut": loops_cut,
        "doubtful": [
            {"index": n, "start": round(one.start, 3), "end": round(one.end, 3), "reasons": list(one.doubts)}
            for n, one in enumerate(segments)
            if one.doubts
        ],
        "word_probability": word_probability(_probabilities(segments)),
    }


# A condition on `quality` that a webhook may have.
_CONDITION = re.compile(r"(coverage|word_probability)<(\d*\.?\d+)|uncovered|doubtful|repaired|loops_cut")


def check_conditions(text: str) -> str:
    """Conditions as they are stored, without spaces. Raises `ValueError` for what is none."""
    conditions = [one.replace(" ", "") for one in text.split(",")]
    for one in conditions:
        if not _CONDITION.fullmatch(one):
            raise ValueError(one)
    return ",".join(conditions)


def meets(quality: Mapping[str, Any] | None, conditions: str) -> bool:
    """Whether at least one of the (comma-separated) conditions is true. Without `quality`, nothing can be excluded."""
    return quality is None or any(_is_true(quality, one) for one in conditions.split(","))


def _is_true(quality: Mapping[str, Any], condition: str) -> bool:
    name, _, limit = condition.partition("<")
    value = quality[name]
    return value is not None and value < float(limit) if limit else bool(value)


def _rounded(share: float | None) -> float | None:
    return None if share is None else round(share, 4)
