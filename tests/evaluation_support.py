"""Recordings and scores for tests of the evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from scrivano.domain.transcript import Segment, Word
from scrivano.evaluation.material import Recording
from scrivano.evaluation.normalizers import load_normalizers
from scrivano.evaluation.references import Reference
from scrivano.evaluation.scoring import Score, Transcribed, score


def spoken(text: str, start: float = 0.0, second: float = 1.0) -> Segment:
    """A segment whose words take a second each."""
    words = [
        Word(text=f" {word}", start=start + n * second, end=start + (n + 1) * second, probability=1.0)
        for n, word in enumerate(text.split())
    ]
    return Segment(start=start, end=start + len(words) * second, text=text, words=tuple(words))


def recording(segments: Sequence[Segment], *, name: str = "a.wav", timed: bool = True) -> Recording:
    return Recording(name, Path(name), Reference(tuple(segments), timed), None)


def scored(
    reference: str | Sequence[Segment],
    heard: str | Sequence[Segment],
    language: str | None = "it",
    *,
    timed: bool = True,
) -> Score:
    """The score of a transcript of 10 seconds. Texts are spoken from 0 s on, a second a word.

    In Italian, because the English normalizer changes numbers.
    """
    said = [spoken(reference)] if isinstance(reference, str) else reference
    got = ([spoken(heard)] if heard else []) if isinstance(heard, str) else heard
    transcribed = Transcribed(language=language, duration=10.0, segments=tuple(got))
    return score(recording(said, timed=timed), transcribed, load_normalizers(), language)
