"""Segments as the engine gave them → segments as they are stored: each stretch of speech once, times in order. Pure.

Everything here works on the segments of a whole job, in file time, and only ever takes text away.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from scrivano.domain.languages import UNSPACED
from scrivano.domain.transcript import Segment, Word

__all__ = ["clean", "collapse_rolling", "cut_loops", "drop_silence", "monotone"]

Segments = tuple[Segment, ...]

# Segments with no longer a gap between them are adjacent. Whisper's time stamps come in steps of 0.02 s, and a decoder
# that is asked again for the same audio moves them by a few steps; a pause between sentences is longer.
TOUCH_S = 0.2

MIN_REPEATS = 5
# Text is a loop when the same words come so often in a row and are so many in all. There ("thank you" five times: 2.33,
# "no" ten times: 2.23) Whisper's own test, a compression ratio above 2.4, begins to see them, while a refrain sung four
# times, an emphatic "no, no, no" and six zeros of a number stay below.
MIN_LOOP_UNITS = 10

# Units of the longest phrase, and segments of the longest series, whose repetition is looked for: 60 words are more
# than 20 s of speech, so five of them are more than a window can hold.
MAX_PERIOD = 60


def clean(segments: Iterable[Segment], duration: float) -> Segments:
    """What a job's transcript is made of, from all segments of the job in order. `duration` is the file's seconds.

    Cleaning again changes nothing. Times are settled last, since it is overlap that gives rolling hypotheses away.
    """

    def once(given: Segments) -> Segments:
        spoken = drop_silence(segment for segment in given if segment.text.strip())
        return monotone(cut_loops(collapse_rolling(spoken)), duration)

    return _until_stable(once, tuple(segments))


def drop_silence(
    segments: Iterable[Segment],
    *,
    no_speech_threshold: float = 0.6,
    logprob_threshold: float = -1.0,
) -> Iterator[Segment]:
    """Leave out text that the model probably made up over silence.

    As in Whisper, a high `no_speech_prob` alone is not enough: it also takes an unsure decoder.
    """
    for segment in segments:
        silent = segment.no_speech_prob > no_speech_threshold
        unsure = segment.avg_logprob <= logprob_threshold
        if not (silent and unsure):
            yield segment


def collapse_rolling(segments: Iterable[Segment]) -> Segments:
    """Of hypotheses that grow ("I", "I think", "I think so"), keep the last, from where the first began.

    A hypothesis is taken back by the next segment when that begins with the same words, goes on, and overlaps or
    follows at once. What people do say is kept: the same words again ("No. No."), an answer that begins like the
    one before it after a pause, and, after a full stop, also without one ("Yes. Yes, I do."), unless it grows twice.
    """
    return _until_stable(_collapse_once, tuple(segments))


def cut_loops(segments: Iterable[Segment]) -> Segments:
    """Keep the first of what is said over and over, within a segment and from segment to segment."""
    return _cut_between([_cut_within(segment) for segment in segments])


def monotone(segments: Iterable[Segment], duration: float) -> Segments:
    """Times inside [0, duration], ascending, without overlap; words likewise within their segment.

    A start never moves ahead of the start before it; where two overlap, the earlier one ends sooner, since Whisper
    is surer of where speech begins than of where it ends.
    """
    given = tuple(segments)
    times = _ascending([(segment.start, segment.end) for segment in given], 0.0, duration)
    return tuple(_settled(segment, start, end) for segment, (start, end) in zip(given, times, strict=True))


def _until_stable(step: Callable[[Segments], Segments], segments: Segments) -> Segments:
    """Ends: every step that changes anything takes text away, or only settles times, which it does once."""
    while (after := step(segments)) != segments:
        segments = after
    return segments


# Words as they are compared: without case and punctuation. Scripts that put no spaces between words are compared by
# character, or "我" would not be seen to begin "我想".
_TOKEN = re.compile(rf"[{UNSPACED}]|[^\W_{UNSPACED}]+(?:['\u2019][^\W_{UNSPACED}]+)*")
_UNIT = re.compile(rf"\s*(?:[{UNSPACED}]|[^\s{UNSPACED}]+)|\s+")
_SENTENCE_END = re.compile(r"[.!?\u2026\u3002\uff01\uff1f][\"'\u201d\u2019)\u00bb\]]*\s*$")

Tokens = tuple[str, ...]


def _tokens(text: str) -> Tokens:
    return tuple(_TOKEN.findall(text.casefold()))


@dataclass(frozen=True, slots=True)
class _Hypothesis:
    segment: Segment
    tokens: Tokens

    def grows_into(self, other: _Hypothesis) -> bool:
        """The next one begins with the same words, adds one that is not just said again, and follows at once."""
        count = len(self.tokens)
        extends = 0 < count < len(other.tokens) and other.tokens[:count] == self.tokens
        adds = not set(other.tokens) <= set(self.tokens)
        return extends and adds and _distance(self.segment, other.segment) <= TOUCH_S

    def surely_grows_into(self, other: _Hypothesis) -> bool:
        finished = _SENTENCE_END.search(self.segment.text)
        return self.grows_into(other) and (not finished or _same_time(self.segment, other.segment))

    def heard_again_in(self, other: _Hypothesis) -> bool:
        """The same words at the same time: heard twice, not said twice."""
        return self.tokens == other.tokens != () and _same_time(self.segment, other.segment)


def _distance(one: Segment, other: Segment) -> float:
    """Seconds of silence between two segments; below 0 when they overlap."""
    return max(one.start, other.start) - min(one.end, other.end)


def _same_time(one: Segment, other: Segment) -> bool:
    """They share half of the shorter one; a little overlap is only a time stamp that is a little off."""
    shared = -_distance(one, other)
    return shared > 0 and shared >= min(one.end - one.start, other.end - other.start) / 2


def _collapse_once(segments: Segments) -> Segments:
    hypotheses = [_Hypothesis(segment, _tokens(segment.text)) for segment in segments]
    return tuple(_last_of(chain) for chain in _chains(hypotheses))


def _chains(hypotheses: Sequence[_Hypothesis]) -> Iterator[Sequence[_Hypothesis]]:
    """The same hypotheses in order; those that take each other back are together."""
    at = 0
    while at < len(hypotheses):
        end = _chain_end(hypotheses, at)
        yield hypotheses[at:end]
        at = end


def _chain_end(hypotheses: Sequence[_Hypothesis], start: int) -> int:
    """One past the last hypothesis of the chain that begins at `start`; `start + 1` where none does."""
    sure = _reach(hypotheses, start, lambda one, other: one.surely_grows_into(other) or one.heard_again_in(other))
    growing = _reach(hypotheses, start, _Hypothesis.grows_into)
    return growing if growing - start > 2 else sure


def _reach(hypotheses: Sequence[_Hypothesis], start: int, linked: Callable[[_Hypothesis, _Hypothesis], bool]) -> int:
    end = start + 1
    while end < len(hypotheses) and linked(hypotheses[end - 1], hypotheses[end]):
        end += 1
    return end


def _last_of(chain: Sequence[_Hypothesis]) -> Segment:
    last = chain[-1].segment
    if len(chain) == 1:
        return last
    start = min(hypothesis.segment.start for hypothesis in chain)
    return replace(last, start=start, end=max(hypothesis.segment.end for hypothesis in chain))


def _without_loops(keys: Sequence[Tokens], weights: Sequence[int]) -> list[int]:
    """Which items stay. `weights`: how many units each stands for. Short phrases first: "no no no no" is four times
    "no", not twice "no no"."""
    kept = list(range(len(keys)))
    while repeated := _repeated([keys[index] for index in kept], [weights[index] for index in kept]):
        kept = [index for place, index in enumerate(kept) if place not in repeated]
    return kept


def _repeated(keys: Sequence[Tokens], weights: Sequence[int]) -> set[int]:
    """The items that only repeat, in the loops of the shortest period that has any."""
    longest = min(MAX_PERIOD, len(keys) // MIN_REPEATS)
    loops = (set(_loops(keys, weights, period)) for period in range(1, longest + 1))
    return next((repeated for repeated in loops if repeated), set())


def _loops(keys: Sequence[Tokens], weights: Sequence[int], period: int) -> Iterator[int]:
    start = 0
    for at in range(period, len(keys) + 1):
        if at < len(keys) and keys[at] == keys[at - period]:
            continue
        repeats = (at - start) // period
        if repeats >= MIN_REPEATS and repeats * sum(weights[start : start + period]) >= MIN_LOOP_UNITS:
            # A repetition that the end cuts off belongs to the loop; elsewhere it may begin something new.
            yield from range(start + period, at if at == len(keys) else start + repeats * period)
        start = at - period + 1


def _cut_within(segment: Segment) -> Segment:
    units, words = _units(segment)
    kept = _without_loops([_key(unit) for unit in units], [1] * len(units))
    if len(kept) == len(units):
        return segment
    text = "".join(units[index] for index in kept)
    return _shortened(segment, text, tuple(words[index] for index in kept) if words else ())


def _key(text: str) -> Tokens:
    """What two texts are compared by; a text without words (a dash, a note) by itself."""
    return _tokens(text) or (text.strip(),)


def _units(segment: Segment) -> tuple[Sequence[str], Sequence[Word]]:
    """The text in pieces that join to it again, and the words that they are, where those do join to it."""
    if segment.words and "".join(word.text for word in segment.words) == segment.text:
        return [word.text for word in segment.words], segment.words
    return _UNIT.findall(segment.text), ()


def _shortened(segment: Segment, text: str, words: tuple[Word, ...]) -> Segment:
    """Tokens that stood for more than what is left are left out."""
    end = min(segment.end, words[-1].end) if words else segment.end
    return replace(segment, text=text, words=words, tokens=(), end=max(segment.start, end))


def _cut_between(segments: Sequence[Segment]) -> Segments:
    keys = [_key(segment.text) for segment in segments]
    return tuple(segments[index] for index in _without_loops(keys, [len(key) for key in keys]))


Span = tuple[float, float]


def _ascending(spans: Sequence[Span], low: float, high: float) -> list[Span]:
    """The same spans inside [low, high]; none starts before the one ahead of it starts or ends."""
    settled: list[Span] = []
    for start, end in reversed(_forward(spans, low, high)):
        next_start = settled[-1][0] if settled else high
        settled.append((start, min(max(start, end), next_start)))
    return settled[::-1]


def _forward(spans: Sequence[Span], low: float, high: float) -> list[Span]:
    """Starts only ever go forward from `low`."""
    forward: list[Span] = []
    for start, end in spans:
        low = max(low, min(start, high))
        forward.append((low, end))
    return forward


def _settled(segment: Segment, start: float, end: float) -> Segment:
    given = [(word.start, word.end) for word in segment.words]
    times = _ascending(given, start, end)
    return segment.at(start, end, tuple(word.at(a, b) for word, (a, b) in zip(segment.words, times, strict=True)))
