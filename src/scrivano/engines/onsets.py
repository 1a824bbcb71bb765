"""Words next to a pause: an alignment gives part of the pause to them. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace
from math import inf

from scrivano.domain.coverage import LETTER_S, WORD_S, Span, letters
from scrivano.domain.transcript import Segment, Word

__all__ = ["without_pauses"]

# A word that starts so long before a pause may still be said behind it, and one that ends so long behind it, before it.
REACH_S = 0.1

# The end of a word that is the last before a pause fades: the model hears it end up to this much earlier.
FADE_S = 0.3

# No word becomes shorter.
SHORTEST_S = 0.06

# A shorter sound between two pauses may be a click.
SHORTEST_SOUND_S = 0.1


def without_pauses(segments: Sequence[Segment], pauses: Sequence[Span]) -> tuple[Segment, ...]:
    """The segments of a chunk with words that start and end where there is sound.

    A segment starts and ends with its first and its last word. `pauses` ascend.
    """
    words = [word for segment in segments for word in segment.words]
    following = [*(word.start for word in words), inf][1:]
    all_placed: list[Word] = []
    for word, start in zip(words, following, strict=True):
        previous = all_placed[-1].end if all_placed else 0.0
        all_placed.append(_placed(_with_sound(word, previous, start, pauses), start, pauses))
    placed = iter(all_placed)
    return tuple(_with_words(segment, [next(placed) for _ in segment.words]) for segment in segments)


def _with_words(segment: Segment, words: Sequence[Word]) -> Segment:
    if not words:
        return segment
    return replace(segment, words=tuple(words), start=words[0].start, end=max(words[-1].end, words[0].start))


def _with_sound(word: Word, previous: float, following: float, pauses: Sequence[Span]) -> Word:
    """A word that lies in a pause → in the sound next to it that is no other word's, if that is no longer than a word.

    `previous`: when the word before it ends.
    """
    at = bisect_right(pauses, Span(word.start + REACH_S, inf)) - 1
    if at < 0 or (word.start + word.end) / 2 < pauses[at].start or word.end > pauses[at].end:
        return word
    quiet_until = pauses[at - 1].end if at else 0.0
    quiet_from = pauses[at + 1].start if at + 1 < len(pauses) else inf
    before = Span(max(previous, quiet_until), pauses[at].start)
    behind = Span(pauses[at].end, min(following, quiet_from))
    for free in (before, behind):
        if SHORTEST_SOUND_S <= free.seconds <= WORD_S + LETTER_S * letters(word.text):
            return word.at(free.start, free.end)
    return word


def _placed(word: Word, following: float, pauses: Sequence[Span]) -> Word:
    """The word without the pauses at its ends; `following`: when the next word starts."""
    start, end = word.start, word.end
    for pause in pauses[max(0, bisect_right(pauses, Span(start, start)) - 1) :]:
        if pause.start >= end + FADE_S:
            break
        if pause.start - REACH_S <= start < pause.end <= end - SHORTEST_S:
            start = pause.end
        elif start + SHORTEST_S <= pause.start < end <= pause.end + REACH_S or end <= pause.start <= following:
            end = pause.start
    return word.at(start, end)
