"""The results of systems as JSON: written for other programs, and read again to be compared with later ones. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from scrivano.domain.transcript import Segment, Word
from scrivano.evaluation.differences import Compared, Difference
from scrivano.evaluation.figures import Figures, by_language, figures
from scrivano.evaluation.scoring import Score, Transcribed

__all__ = ["Result", "UnreadableResults", "report_json", "results_of"]

FORMAT = "scrivano-evaluation"


class UnreadableResults(Exception):
    """The message says what is wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What one system returned for each recording, by its name.

    `name`: how the system is shown. `settings`: how it was asked. `seconds`: from the first recording sent to the last
    transcript received, without loading the model.
    """

    name: str
    seconds: float
    transcripts: Mapping[str, Transcribed]
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def rtfx(self) -> float:
        """Seconds of audio per second."""
        return sum(one.duration for one in self.transcripts.values()) / self.seconds if self.seconds else 0.0


def report_json(results: Sequence[Result], scores: Sequence[Mapping[str, Score]], compared: Compared, seed: int) -> str:
    """`scores`: for each result, of each recording."""
    report = {
        "format": FORMAT,
        "version": 1,
        "seed": seed,
        "systems": [_system_json(result, of) for result, of in zip(results, scores, strict=True)],
        "comparisons": [
            {"a": a, "b": b, "by_language": {language: _difference_json(one) for language, one in found.items()}}
            for a, b, found in compared
        ],
    }
    return json.dumps(report, ensure_ascii=False, indent=1)


def _system_json(result: Result, scores: Mapping[str, Score]) -> dict[str, Any]:
    all_scores = list(scores.values())
    return {
        "name": result.name,
        "settings": dict(result.settings),
        "seconds": round(result.seconds, 3),
        "rtfx": round(result.rtfx, 2),
        "all": _figures_json(figures(all_scores)),
        "by_language": {name: _figures_json(one) for name, one in by_language(all_scores).items()},
        "recordings": {name: _recording_json(score) for name, score in scores.items()},
    }


def _figures_json(found: Figures) -> dict[str, Any]:
    plain = asdict(found) | {"errors": found.counts.edits, "unit": "character" if found.by_characters else "word"}
    return {name: _rounded(value) for name, value in plain.items() if name != "by_characters"}


def _rounded(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _rounded(one) for name, one in value.items()}
    return round(value, 5) if isinstance(value, float) else value


def _difference_json(found: Difference) -> dict[str, Any]:
    significant = {"significant": found.comparison.significant}
    return {name: _rounded(value) for name, value in (asdict(found) | significant).items()}


def _recording_json(score: Score) -> dict[str, Any]:
    transcribed = score.transcribed
    return {
        "language": transcribed.language,
        "duration": round(transcribed.duration, 3),
        "error": transcribed.error,
        "error_rate": round(score.rate, 5),
        "counts": asdict(score.counts),
        "holes": [_rounded(asdict(hole)) for hole in score.holes],
        "segments": [_segment_json(segment) for segment in transcribed.segments],
    }


def _segment_json(segment: Segment) -> dict[str, Any]:
    words = [{"text": one.text, "start": round(one.start, 3), "end": round(one.end, 3)} for one in segment.words]
    return {"start": round(segment.start, 3), "end": round(segment.end, 3), "text": segment.text, "words": words}


def results_of(text: str) -> list[Result]:
    """The results in a report. Raises `UnreadableResults`."""
    try:
        report = json.loads(text)
        if report["format"] != FORMAT:
            raise ValueError(report["format"])
        return [_result(system) for system in report["systems"]]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UnreadableResults("these are no results of `scrivano evaluate --json`") from error


def _result(system: Mapping[str, Any]) -> Result:
    transcripts = {name: _transcribed(one) for name, one in system["recordings"].items()}
    return Result(
        name=system["name"],
        seconds=float(system["seconds"]),
        transcripts=transcripts,
        settings=dict(system["settings"]),
    )


def _transcribed(one: Mapping[str, Any]) -> Transcribed:
    segments = [
        Segment(
            start=segment["start"],
            end=segment["end"],
            text=segment["text"],
            words=tuple(
                Word(text=w["text"], start=w["start"], end=w["end"], probability=1.0) for w in segment["words"]
            ),
        )
        for segment in one["segments"]
    ]
    return Transcribed(language=one["language"], duration=one["duration"], segments=tuple(segments), error=one["error"])
