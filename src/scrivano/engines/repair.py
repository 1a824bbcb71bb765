"""Which stretches of a decoded chunk to decode again, and what becomes of both texts. Pure.

A chunk is repaired in attempts. Each one decodes stretches of the chunk's audio again and puts the new text in place of
the old text there. It counts only if the result is better.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from scrivano.domain.coverage import LEAST_HOLE_S, Span, holes, letters, seconds_of, words_of
from scrivano.domain.decoding import DecodingOptions
from scrivano.domain.quality import Doubt, doubts_about
from scrivano.domain.transcript import Segment, Word
from scrivano.engines.decoding_rules import MIN_PROGRESS_S
from scrivano.engines.words import FASTEST_SPEECH

__all__ = ["ATTEMPTS", "Attempt", "is_better", "plan", "spliced", "trusted"]

# A hole's ends are only known to lie in speech. Its window starts and ends in the next pause, if one is this near.
NEAR_S = 1.5

# A hole of this length is decoded in two parts: the model has left all of it out already.
LONG_S = 8.0

# Around a hole without pauses near it, so much more is decoded.
MARGIN_S = 0.3

# A result is better if it has so much less speech without words.
GAIN_S = 0.5

# A text of less time than this is not too fast: its times may be wrong.
SHORTEST_S = 1.0

# Text that the model is less sure of than this may be made up, and is no repair. Natural-log probability per token.
SURE_LOGPROB = -0.8

# New text that says so many words of its neighbour again was decoded from sound that has its words already. They had
# been placed too early or too late.
DOUBLED_WORDS = 3

# The doubled words are looked for among so many words of the new text.
NEIGHBOURING_WORDS = 8

ATTEMPTS = 2


@dataclass(frozen=True, slots=True)
class Attempt:
    """`stretches` of a chunk to decode again, in seconds from its first sample, ascending; empty: nothing to do.

    `greedy`: without a beam. A beam prefers short texts, so it is what leaves speech out most often.
    """

    stretches: tuple[Span, ...] = ()
    greedy: bool = False

    @property
    def seconds(self) -> float:
        return seconds_of(self.stretches)


def plan(number: int, empty: Sequence[Span], words: Sequence[Word], pauses: Sequence[Span], seconds: float) -> Attempt:
    """The attempt `number` (from 0) to repair a chunk of so many `seconds` that has the holes `empty`.

    First the model gets the rest of the chunk from the first hole on, as if its window had ended there. If nothing
    stands before the hole that would be the same window again, so the chunk is divided. Then each hole that is left is
    decoded alone.
    """
    if not empty:
        return Attempt()
    inside = [pause for pause in pauses if MIN_PROGRESS_S <= pause.middle <= seconds - MIN_PROGRESS_S]
    if number > 0:
        return Attempt(tuple(part for hole in empty for part in _around(hole, inside, seconds)), greedy=True)
    if (start := _seek(empty[0], words, inside)) is not None:
        return Attempt((Span(start, seconds),))
    behind = [pause for pause in inside if empty[0].start + LEAST_HOLE_S <= pause.middle <= empty[-1].end + NEAR_S]
    if not behind:
        return Attempt((Span(0.0, seconds),), greedy=True)
    cut = max(behind, key=lambda pause: pause.seconds).middle
    return Attempt((Span(0.0, cut), Span(cut, seconds)))


def _seek(hole: Span, words: Sequence[Word], pauses: Sequence[Span]) -> float | None:
    """The last pause before the hole; None if no words stand before it.

    Words between that pause and the hole are decoded again, too: they may be said behind it, and be aligned wrongly.
    """
    start = max((pause.middle for pause in pauses if pause.middle <= hole.start + MARGIN_S), default=0.0)
    return start if any((word.start + word.end) / 2 < start for word in words) else None


def _around(hole: Span, pauses: Sequence[Span], seconds: float) -> tuple[Span, ...]:
    """The hole from the pause before it to the pause behind it; a long one in two parts."""
    before = [pause.middle for pause in pauses if hole.start - NEAR_S <= pause.middle <= hole.start + MARGIN_S]
    behind = [pause.middle for pause in pauses if hole.end - MARGIN_S <= pause.middle <= hole.end + NEAR_S]
    start = before[-1] if before else max(0.0, hole.start - MARGIN_S)
    end = behind[0] if behind else min(seconds, hole.end + MARGIN_S)
    inside = [pause for pause in pauses if start + LEAST_HOLE_S <= pause.middle <= end - LEAST_HOLE_S]
    if end - start < LONG_S or not inside:
        return (Span(start, end),)
    cut = max(inside, key=lambda pause: pause.seconds).middle
    return Span(start, cut), Span(cut, end)


def trusted(segments: Iterable[Segment], options: DecodingOptions) -> list[Segment]:
    """The segments whose words count: not those of a loop, and not those that nobody could say so fast."""
    return [
        one
        for one in segments
        if one.compression_ratio <= options.compression_ratio_threshold
        and letters(one.text) <= FASTEST_SPEECH * max(one.end - one.start, SHORTEST_S)
    ]


def spliced(segments: Iterable[Segment], stretch: Span, again: Iterable[Segment]) -> tuple[Segment, ...]:
    """The segments of a chunk with `again` in place of what they say in `stretch`.

    A word belongs to the stretch in which its middle lies.
    """
    parts: list[Segment] = []
    for segment in segments:
        if segment.words:
            middles = [(word.start + word.end) / 2 for word in segment.words]
            parts += _some(segment, [middle < stretch.start for middle in middles])
            parts += _some(segment, [middle >= stretch.end for middle in middles])
        elif not stretch.start <= (segment.start + segment.end) / 2 < stretch.end:
            parts.append(segment)
    return tuple(sorted((*parts, *again), key=lambda one: (one.start, one.end)))


def _some(segment: Segment, kept: Sequence[bool]) -> list[Segment]:
    """The segment with those of its words that are `kept`; its tokens stand for all of them."""
    if all(kept):
        return [segment]
    words = [word for word, keep in zip(segment.words, kept, strict=True) if keep]
    if not words:
        return []
    words[0] = replace(words[0], text=words[0].text.lstrip())
    words[-1] = replace(words[-1], text=words[-1].text.rstrip())
    text = "".join(word.text for word in words)
    return [replace(segment, text=text, words=tuple(words), tokens=(), start=words[0].start, end=words[-1].end)]


def is_better(
    speech: Sequence[Span],
    before: Sequence[Segment],
    after: Sequence[Segment],
    again: Sequence[Segment],
    options: DecodingOptions,
) -> bool:
    """Whether to take the segments `after` in place of those `before`; `again`: those of them that are new.

    Only words that are `trusted` count. New text that says its neighbour's words again is no better.
    """
    if any(_doubles(one, after) for one in again):
        return False
    before, after = trusted(before, options), trusted(after, options)
    sure = all(
        one.avg_logprob >= SURE_LOGPROB
        and one.no_speech_prob <= options.no_speech_threshold
        and one.compression_ratio <= options.compression_ratio_threshold
        and Doubt.GUESSED not in doubts_about(one, None)
        for one in again
    )
    less = seconds_of(holes(speech, words_of(before))) - seconds_of(holes(speech, words_of(after)))
    return sure and less >= GAIN_S and _letters(after) >= _letters(before)


def _doubles(new: Segment, segments: Sequence[Segment]) -> bool:
    """Whether a segment says again what is said right before it or right behind it."""
    said = _plain(new.words)
    others = [word for segment in segments if segment is not new for word in segment.words]
    before = _plain([word for word in others if word.start < new.start])[-DOUBLED_WORDS:]
    behind = _plain([word for word in others if word.start >= new.start])[:DOUBLED_WORDS]
    return _contains(said[:NEIGHBOURING_WORDS], before) or _contains(said[-NEIGHBOURING_WORDS:], behind)


def _plain(words: Iterable[Word]) -> list[str]:
    plain = ("".join(char for char in word.text.casefold() if char.isalnum()) for word in words)
    return [word for word in plain if word]


def _contains(words: Sequence[str], run: Sequence[str]) -> bool:
    places = range(len(words) - DOUBLED_WORDS + 1)
    return len(run) == DOUBLED_WORDS and any(words[at : at + DOUBLED_WORDS] == run for at in places)


def _letters(segments: Iterable[Segment]) -> int:
    return sum(letters(one.text) for one in segments)
