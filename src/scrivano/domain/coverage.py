"""Which speech has words, and which has none. Pure.

The time stamps of a segment prove nothing: a model that leaves out ten seconds stamps its next sentence with all of
them. So only words count, and each only for as long as its letters can take to say.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from scrivano.domain.languages import UNSPACED
from scrivano.domain.transcript import Segment, Word

__all__ = [
    "LEAST_HOLE_S",
    "LETTER_S",
    "USUAL_LETTERS",
    "WORD_S",
    "Hole",
    "Span",
    "between",
    "holes",
    "holes_among",
    "letters",
    "seconds_of",
    "uncovered",
    "words_of",
]

# Speech without words for less than this may be a breath, a hesitation, or the error of two times.
LEAST_HOLE_S = 1.0

# So far from every word, speech of this length is none of these. Without any words, none is too short to count.
ALONE_S = 1.0
LEAST_ALONE_S = 0.3

# How long a word may take: so much, and so much for each letter. Slow dictation has 6 letters a second.
WORD_S = 0.35
LETTER_S = 0.12

# A digit is read as a word. A character of a script without spaces is a syllable or two.
LETTERS_OF_DIGIT = 5
LETTERS_OF_CHARACTER = 3

# The error of a word's times: nine of ten words start within this (`docs/accuracy.md`).
SLACK_S = 0.3

# Speech has 10 to 16 letters a second. Text with fewer than this leaves something out, or is said slowly.
USUAL_LETTERS = 10

_UNSPACED = re.compile(f"[{UNSPACED}]")


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """`start <= time < end`, in seconds."""

    start: float
    end: float

    @property
    def seconds(self) -> float:
        return self.end - self.start

    @property
    def middle(self) -> float:
        return (self.start + self.end) / 2


@dataclass(frozen=True, slots=True)
class Hole:
    """A stretch without words, which starts and ends in speech; `speech_s`: seconds of speech in it."""

    start: float
    end: float
    speech_s: float


def seconds_of(spans: Iterable[Span]) -> float:
    return sum(span.seconds for span in spans)


def between(spans: Iterable[Span], start: float, end: float) -> list[Span]:
    """The parts of spans that lie between two times."""
    clipped = (Span(max(span.start, start), min(span.end, end)) for span in spans)
    return [span for span in clipped if span.start < span.end]


def letters(text: str) -> int:
    """How long a text is when it is said, in letters of an alphabet; punctuation counts nothing."""
    return sum(_letters_of(char) for char in text if char.isalnum())


def _letters_of(char: str) -> int:
    if char.isdigit():
        return LETTERS_OF_DIGIT
    return LETTERS_OF_CHARACTER if _UNSPACED.match(char) else 1


def words_of(segments: Iterable[Segment]) -> list[Word]:
    """The words of segments, ascending; a segment without word times counts as one word."""
    return [
        word
        for segment in segments
        for word in segment.words or (Word(text=segment.text, start=segment.start, end=segment.end, probability=1.0),)
    ]


def uncovered(speech: Sequence[Span], words: Iterable[Word]) -> list[Span]:
    """The parts of `speech` (ascending, apart) that no word reaches, however short, ascending."""
    reached = _joined(sorted(reach for word in words for reach in _reaches(word)))
    left: list[Span] = []
    first = 0
    for span in speech:
        while first < len(reached) and reached[first].end <= span.start:
            first += 1
        at = first
        start = span.start
        while at < len(reached) and reached[at].start < span.end:
            if start < reached[at].start:
                left.append(Span(start, reached[at].start))
            start = max(start, reached[at].end)
            at += 1
        if start < span.end:
            left.append(Span(start, span.end))
    return left


def holes(speech: Sequence[Span], words: Sequence[Word], *, least: float = LEAST_HOLE_S) -> list[Span]:
    """Where at least `least` seconds of `speech` in a row have no words. Ascending.

    A hole may have pauses in it. Its ends are speech.
    """
    found = _holes(uncovered(speech, words), _edges(words))
    return [Span(hole.start, hole.end) for hole in found if hole.speech_s >= least]


def holes_among(parts: Sequence[Span], words: Sequence[Word]) -> list[Hole]:
    """The holes that `parts`, speech that no word reaches, make among all `words`: those that are long, or alone."""
    edges = _edges(words)
    return [hole for hole in _holes(parts, edges) if hole.speech_s >= LEAST_HOLE_S or _is_alone(hole, words, edges)]


def _is_alone(hole: Hole, words: Sequence[Word], edges: Sequence[float]) -> bool:
    if not words:
        return True
    start, end = hole.start - ALONE_S, hole.end + ALONE_S
    if hole.speech_s < LEAST_ALONE_S or bisect_left(edges, end) > bisect_right(edges, start):
        return False
    return not any(word.start < end and start < word.end for word in words)


def _reaches(word: Word) -> Iterator[Span]:
    """The time that a word can account for.

    An alignment gives all of a hole to one word. Whether that word is said before or behind the hole is not known, so
    half of its time is counted at either end.
    """
    longest = WORD_S + LETTER_S * letters(word.text)
    if word.end - word.start <= longest:
        yield Span(word.start - SLACK_S, word.end + SLACK_S)
    else:
        yield Span(word.start - SLACK_S, word.start + longest / 2)
        yield Span(word.end - longest / 2, word.end + SLACK_S)


def _joined(spans: Iterable[Span]) -> list[Span]:
    """Ascending spans, those that touch as one."""
    joined: list[Span] = []
    for span in spans:
        if joined and span.start <= joined[-1].end:
            joined[-1] = Span(joined[-1].start, max(joined[-1].end, span.end))
        else:
            joined.append(span)
    return joined


def _edges(words: Iterable[Word]) -> list[float]:
    """Where words start and end, ascending."""
    return sorted(time for word in words for time in (word.start, word.end))


def _holes(parts: Iterable[Span], edges: Sequence[float]) -> Iterator[Hole]:
    """The parts in groups: between the parts of a group no word starts or ends."""
    run: list[Span] = []
    for part in parts:
        if run and bisect_left(edges, run[-1].end) < bisect_right(edges, part.start):
            yield _hole(run)
            run = []
        run.append(part)
    if run:
        yield _hole(run)


def _hole(run: Sequence[Span]) -> Hole:
    return Hole(run[0].start, run[-1].end, seconds_of(run))
