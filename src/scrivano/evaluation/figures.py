"""Error rates, holes, coverage, time errors and speed of one system, by language and in all. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

from scrivano.comparison.alignment import Counts
from scrivano.evaluation.scoring import Score, TimeErrors

__all__ = ["Figures", "Spread", "by_language", "figures"]


@dataclass(frozen=True, slots=True)
class Spread:
    """Of time errors, in seconds."""

    count: int
    median: float
    p95: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """`counts` are of words (languages with spaces) or of characters, as `by_characters` says.

    `wer` is None if there are only characters. `coverage`: the share of the reference's words beside which the
    transcript has any, right or wrong. `failed`: recordings without a transcript; all their words count as deleted.
    `audio_secs`: of the recordings. `times`: by the names of `TimeErrors`, those that are known.
    """

    recordings: int
    failed: int
    by_characters: bool
    counts: Counts
    wer: float | None
    cer: float
    coverage: float
    holes: int
    hole_words: int
    wrong_language: int
    audio_secs: float
    times: Mapping[str, Spread]

    @property
    def rate(self) -> float:
        """By which the language is judged: WER, or CER if it has no spaces."""
        return self.cer if self.wer is None else self.wer


def by_language(scores: Sequence[Score]) -> dict[str, Figures]:
    """For each language, by its code; `?` if it is not known."""
    languages = sorted({score.language or "?" for score in scores})
    return {name: figures([one for one in scores if (one.language or "?") == name]) for name in languages}


def figures(scores: Sequence[Score]) -> Figures:
    """In all. With languages of both kinds, words are counted in those with spaces, and characters in all."""
    words = [score for score in scores if not score.by_characters]
    judged = words or scores
    counts = _sum(judged)
    holes = [hole for score in judged for hole in score.holes]
    char_count = sum(score.char_count for score in scores)
    return Figures(
        recordings=len(scores),
        failed=sum(score.transcribed.error is not None for score in scores),
        by_characters=not words,
        counts=counts,
        wer=counts.edits / max(1, counts.first) if words else None,
        cer=sum(score.char_errors for score in scores) / max(1, char_count),
        coverage=(counts.equal + counts.substituted) / max(1, counts.first),
        holes=len(holes),
        hole_words=sum(hole.words for hole in holes),
        wrong_language=sum(_is_wrong(score) for score in scores),
        audio_secs=sum(score.transcribed.duration for score in scores),
        times=_times([score.times for score in scores]),
    )


def _sum(scores: Sequence[Score]) -> Counts:
    return sum((score.counts for score in scores), Counts())


def _is_wrong(score: Score) -> bool:
    heard = score.transcribed.language
    return heard is not None and score.language is not None and heard != score.language


def _times(errors: Sequence[TimeErrors]) -> dict[str, Spread]:
    names = [field.name for field in fields(TimeErrors)]
    found = {name: sorted(value for one in errors for value in getattr(one, name)) for name in names}
    return {name: _spread(values) for name, values in found.items() if values}


def _spread(values: Sequence[float]) -> Spread:
    """`values` ascending."""
    last = len(values) - 1
    return Spread(len(values), values[round(last * 0.5)], values[round(last * 0.95)])
