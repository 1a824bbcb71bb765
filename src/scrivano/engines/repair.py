"""Which stretches of a decoded chunk to decode again, and what becomes of both texts. Pure.

A chunk is repaired in attempts. Each one decodes stretches of the chunk's audio again and puts the new text in place of
the old text there. It counts only if the result is better.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from itertools import pairwise

from scrivano.domain.coverage import LEAST_HOLE_S, Span, between, holes, letters, seconds_of, words_of
from scrivano.domain.decoding import DecodingOptions
from scrivano.domain.quality import Doubt, doubts_about
from scrivano.domain.transcript import Segment, Word
from scrivano.engines.decoding_rules import MIN_PROGRESS_S
from scrivano.engines.words import FASTEST_SPEECH

__all__ = ["ATTEMPTS", "Attempt", "copy_seconds", "is_better", "plan", "spliced", "trusted"]

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

# New text that says so many words of its neighbour again was decoded from sound that has its words already, which had
# been placed too early or too late; or they are said twice.
DOUBLED_WORDS = 3

# Words that are said twice take about as much speech both times. Words in a wrong place have less.
AS_LONG = 0.5

# A segment says again what the one before it says if so much of both is the same: in each copy of a sentence the model
# may get another word wrong.
SAME_PART = 0.6

# Where something is said again and again, the model says it once. So each part that is decoded alone is to have one
# copy: it has at least so much of its seconds.
COPY_PART = 0.7

# The doubled words are looked for among so many words of the new text.
NEIGHBOURING_WORDS = 8

ATTEMPTS = 3

# A loop within a word: "debuteraaaaaaaaaa".
_DRAWN_OUT = re.compile(r"([^\W\d])\1{9}")


@dataclass(frozen=True, slots=True)
class Attempt:
    """`stretches` of a chunk to decode again, in seconds from its first sample, ascending; empty: nothing to do.

    `greedy`: without a beam. A beam prefers short texts, so it is what leaves speech out most often. `alone`: the text
    of each stretch is taken or left for itself.
    """

    stretches: tuple[Span, ...] = ()
    greedy: bool = False
    alone: bool = False

    @property
    def seconds(self) -> float:
        return seconds_of(self.stretches)


def plan(
    number: int,
    empty: Sequence[Span],
    words: Sequence[Word],
    pauses: Sequence[Span],
    seconds: float,
    copy_s: float | None = None,
) -> Attempt:
    """The attempt `number` (from 0) to repair a chunk of so many `seconds` that has the holes `empty`.

    First the model gets the rest of the chunk from the first hole on, as if its window had ended there. If nothing
    stands before the hole that would be the same window again, so the chunk is divided. Then each hole that is left is
    decoded alone. If something of `copy_s` seconds is said again and again, each time of it is, first with a beam: so
    short a stretch is not what it leaves out.
    """
    if not empty:
        return Attempt()
    inside = [pause for pause in pauses if MIN_PROGRESS_S <= pause.middle <= seconds - MIN_PROGRESS_S]
    if number > 1 and copy_s is None:
        return Attempt()
    if number > 0:
        parts = (part for hole in empty for part in _around(hole, inside, seconds, copy_s))
        return Attempt(tuple(parts), greedy=copy_s is None or number > 1, alone=True)
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


def _around(hole: Span, pauses: Sequence[Span], seconds: float, copy_s: float | None) -> tuple[Span, ...]:
    """The hole from the pause before it to the pause behind it; a long one in two parts, or one for each copy."""
    before = [pause.middle for pause in pauses if hole.start - NEAR_S <= pause.middle <= hole.start + MARGIN_S]
    behind = [pause.middle for pause in pauses if hole.end - MARGIN_S <= pause.middle <= hole.end + NEAR_S]
    start = before[-1] if before else max(0.0, hole.start - MARGIN_S)
    end = behind[0] if behind else min(seconds, hole.end + MARGIN_S)
    inside = [pause for pause in pauses if start + LEAST_HOLE_S <= pause.middle <= end - LEAST_HOLE_S]
    if copy_s is not None:
        return tuple(_copies(Span(start, end), inside, copy_s))
    if end - start < LONG_S or not inside:
        return (Span(start, end),)
    cut = max(inside, key=lambda pause: pause.seconds).middle
    return Span(start, cut), Span(cut, end)


def _copies(stretch: Span, pauses: Sequence[Span], copy_s: float) -> Iterator[Span]:
    start, least = stretch.start, max(COPY_PART * copy_s, LEAST_HOLE_S)
    for pause in pauses:
        if pause.middle - start >= least and stretch.end - pause.middle >= least:
            yield Span(start, pause.middle)
            start = pause.middle
    yield Span(start, stretch.end)


def copy_seconds(segments: Sequence[Segment]) -> float | None:
    """The seconds of the shortest segment that says what the one before it says; None: there is none."""
    again = [segment.end - segment.start for before, segment in pairwise(segments) if _are_alike(before, segment)]
    return min(again, default=None)


def _are_alike(one: Segment, other: Segment) -> bool:
    """Whether they say the same, all in all."""
    texts = _plain(one.words), _plain(other.words)
    long_enough = min(map(len, texts)) >= DOUBLED_WORDS
    return long_enough and SequenceMatcher(None, *texts, autojunk=False).ratio() >= SAME_PART


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
    pauses: Sequence[Span] = (),
) -> bool:
    """Whether to take the segments `after` in place of those `before`; `again`: those of them that are new.

    Only words that are `trusted` count. New text that says its neighbour's words again is no better, unless they are
    said twice.
    """
    if any(_doubles(one, after, speech, pauses) for one in again):
        return False
    before, after = trusted(before, options), trusted(after, options)
    sure = all(
        one.avg_logprob >= SURE_LOGPROB
        and (one.no_speech_prob <= options.no_speech_threshold or _is_copy(one, after))
        and one.compression_ratio <= options.compression_ratio_threshold
        and not {Doubt.GUESSED, Doubt.TOO_FAST} & {*doubts_about(one, None)}
        and not _DRAWN_OUT.search(one.text)
        for one in again
    )
    less = seconds_of(holes(speech, words_of(before))) - seconds_of(holes(speech, words_of(after)))
    return sure and less >= GAIN_S and _letters(after) >= _letters(before)


def _is_copy(new: Segment, segments: Sequence[Segment]) -> bool:
    """Whether a segment says what the one before it or behind it says. Then it is not made up."""
    return any(_are_alike(*pair) for pair in pairwise(segments) if any(one is new for one in pair))


def _doubles(new: Segment, segments: Sequence[Segment], speech: Sequence[Span], pauses: Sequence[Span]) -> bool:
    """Whether a segment says again what is said right before it or right behind it, though it is said only once."""
    said = _with_letters(new.words)
    others = _with_letters(word for segment in segments if segment is not new for word in segment.words)
    before = [word for word in others if word.start < new.start][-DOUBLED_WORDS:]
    behind = [word for word in others if word.start >= new.start][:DOUBLED_WORDS]
    copies = [
        (before, _copy_of(before, said[:NEIGHBOURING_WORDS])),
        (_copy_of(behind, said[-NEIGHBOURING_WORDS:]), behind),
    ]
    return any(one and other and not _is_said_twice(one, other, speech, pauses) for one, other in copies)


def _is_said_twice(
    first: Sequence[Word], second: Sequence[Word], speech: Sequence[Span], pauses: Sequence[Span]
) -> bool:
    """Whether there is a pause between the same words, the first time and the second, and as much speech in both."""
    start, end = (_middle(words[DOUBLED_WORDS // 2]) for words in (first, second))
    shorter, longer = sorted(seconds_of(between(speech, words[0].start, words[-1].end)) for words in (first, second))
    return any(start < pause.middle < end for pause in pauses) and shorter >= AS_LONG * longer


def _middle(word: Word) -> float:
    return (word.start + word.end) / 2


def _with_letters(words: Iterable[Word]) -> list[Word]:
    return [word for word in words if _letters_and_digits(word)]


def _plain(words: Iterable[Word]) -> list[str]:
    return [plain for word in words if (plain := _letters_and_digits(word))]


def _letters_and_digits(word: Word) -> str:
    return "".join(char for char in word.text.casefold() if char.isalnum())


def _copy_of(run: Sequence[Word], words: Sequence[Word]) -> Sequence[Word]:
    """Where `words` say the same as the run; empty: nowhere."""
    wanted, plain = _plain(run), _plain(words)
    places = range(len(words) - DOUBLED_WORDS + 1) if len(run) == DOUBLED_WORDS else ()
    return next((words[at : at + DOUBLED_WORDS] for at in places if plain[at : at + DOUBLED_WORDS] == wanted), ())


def _letters(segments: Iterable[Segment]) -> int:
    return sum(letters(one.text) for one in segments)
