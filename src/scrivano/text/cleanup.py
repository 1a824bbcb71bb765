"""Decoded segments → stored segments: each stretch of speech once, times in order. Pure.

The segments are those of a chunk, or of a whole job, in file time. Text is only removed, never added or changed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from scrivano.domain.languages import UNSPACED
from scrivano.domain.transcript import Segment, Word
from scrivano.text.punctuation import ends_sentence

__all__ = ["clean", "collapse_rolling", "cut_loops", "drop_silence", "monotone"]

Segments = tuple[Segment, ...]

# Segments with at most this gap between them are adjacent. Whisper's timestamps have steps of 0.02 s, and decoding the
# same audio again moves them by a few steps; a pause between sentences is longer.
ADJACENT_S = 0.2

MIN_REPEATS = 5
# Text is a loop if a phrase is repeated at least `MIN_REPEATS` times in a row and the repetitions have at least
# `MIN_LOOP_UNITS` words. About there Whisper's own test, a compression ratio above 2.4, starts to detect loops ("thank
# you" five times: 2.33, "no" ten times: 2.23). A refrain sung four times, an emphatic "no, no, no" and the six zeros of
# a number stay below both.
MIN_LOOP_UNITS = 10

# The longest phrase, in words, and the longest series of segments whose repetition is searched for. 60 words take more
# than 20 s to say, so five repetitions are longer than the model's window.
MAX_PERIOD = 60


def clean(segments: Iterable[Segment], duration: float) -> Segments:
    """The segments of a job's transcript, from all decoded segments in order. `duration`: of the file, in seconds.

    Cleaning twice gives the same as cleaning once. Times are put in order last, because rolling hypotheses are
    recognised by their overlap.
    """

    def once(segments: Segments) -> Segments:
        spoken = drop_silence(segment for segment in segments if segment.text.strip())
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
    """Of growing hypotheses ("I", "I think", "I think so") keep the last, with the start of the first.

    A hypothesis is replaced by the next segment if that starts with the same words, has more, and overlaps it or
    follows at once. Real speech is kept: repeated words ("No. No."), an answer that starts like the previous one after
    a pause, and, after a full stop, also without a pause ("Yes. Yes, I do."), unless it grows twice.
    """
    return _until_stable(_collapse_once, tuple(segments))


def cut_loops(segments: Iterable[Segment]) -> Segments:
    """Keep the first repetition of each loop, within a segment and across segments."""
    return _cut_between([_cut_within(segment) for segment in segments])


def monotone(segments: Iterable[Segment], duration: float) -> Segments:
    """Times inside [0, duration], ascending, without overlap; the times of words likewise inside their segment.

    If two segments overlap, the earlier one is shortened at its end, because Whisper is more certain of where speech
    starts than of where it ends.
    """
    unordered = tuple(segments)
    times = _ascending([(segment.start, segment.end) for segment in unordered], 0.0, duration)
    return tuple(_with_times(segment, start, end) for segment, (start, end) in zip(unordered, times, strict=True))


def _until_stable(step: Callable[[Segments], Segments], segments: Segments) -> Segments:
    """This ends, because each step that changes anything removes text, or changes only times, which it does once."""
    while (after := step(segments)) != segments:
        segments = after
    return segments


# Words are compared without case and punctuation. Scripts without spaces between words are compared by character,
# otherwise "我" would not be recognised as the start of "我想".
_TOKEN = re.compile(rf"[{UNSPACED}]|[^\W_{UNSPACED}]+(?:['\u2019][^\W_{UNSPACED}]+)*")
_UNIT = re.compile(rf"\s*(?:[{UNSPACED}]|[^\s{UNSPACED}]+)|\s+")

Tokens = tuple[str, ...]


def _tokens(text: str) -> Tokens:
    return tuple(_TOKEN.findall(text.casefold()))


@dataclass(frozen=True, slots=True)
class _Hypothesis:
    segment: Segment
    tokens: Tokens

    def grows_into(self, other: _Hypothesis) -> bool:
        """The other starts with the same words, has at least one new word, and overlaps this one or follows at once."""
        count = len(self.tokens)
        extends = 0 < count < len(other.tokens) and other.tokens[:count] == self.tokens
        adds = not set(other.tokens) <= set(self.tokens)
        return extends and adds and _distance(self.segment, other.segment) <= ADJACENT_S

    def surely_grows_into(self, other: _Hypothesis) -> bool:
        """After the end of a sentence it takes more: the other must lie at the same time."""
        finished = ends_sentence(self.segment.text)
        return self.grows_into(other) and (not finished or _same_time(self.segment, other.segment))

    def decoded_again_as(self, other: _Hypothesis) -> bool:
        """The same words at the same time: decoded twice, but spoken once."""
        return self.tokens == other.tokens != () and _same_time(self.segment, other.segment)


def _distance(one: Segment, other: Segment) -> float:
    """Seconds of silence between two segments; below 0 when they overlap."""
    return max(one.start, other.start) - min(one.end, other.end)


def _same_time(one: Segment, other: Segment) -> bool:
    """They share at least half of the shorter one; a smaller overlap is only an inexact timestamp."""
    shared = -_distance(one, other)
    return shared > 0 and shared >= min(one.end - one.start, other.end - other.start) / 2


def _collapse_once(segments: Segments) -> Segments:
    hypotheses = [_Hypothesis(segment, _tokens(segment.text)) for segment in segments]
    return tuple(_last_of(chain) for chain in _chains(hypotheses))


def _chains(hypotheses: Sequence[_Hypothesis]) -> Iterator[Sequence[_Hypothesis]]:
    """The hypotheses in order, grouped: each chain is one hypothesis and those that replace it."""
    at = 0
    while at < len(hypotheses):
        end = _chain_end(hypotheses, at)
        yield hypotheses[at:end]
        at = end


def _chain_end(hypotheses: Sequence[_Hypothesis], start: int) -> int:
    """One past the last hypothesis of the chain that starts at `start`; `start + 1`: the chain has one hypothesis."""
    certain = _reach(hypotheses, start, lambda one, other: one.surely_grows_into(other) or one.decoded_again_as(other))
    growing = _reach(hypotheses, start, _Hypothesis.grows_into)
    # A hypothesis that grows twice is not real speech, even across ends of sentences.
    return growing if growing - start > 2 else certain


def _reach(hypotheses: Sequence[_Hypothesis], start: int, linked: Callable[[_Hypothesis, _Hypothesis], bool]) -> int:
    end = start + 1
    while end < len(hypotheses) and linked(hypotheses[end - 1], hypotheses[end]):
        end += 1
    return end


def _last_of(chain: Sequence[_Hypothesis]) -> Segment:
    """The last hypothesis, over the time of the whole chain."""
    last = chain[-1].segment
    if len(chain) == 1:
        return last
    start = min(hypothesis.segment.start for hypothesis in chain)
    return replace(last, start=start, end=max(hypothesis.segment.end for hypothesis in chain))


def _without_loops(keys: Sequence[Tokens], weights: Sequence[int]) -> list[int]:
    """The indexes of the items to keep. `weights`: how many words each item has.

    Short phrases are handled first: "no no no no" is "no" four times, not "no no" twice.
    """
    kept = list(range(len(keys)))
    while repeated := _repeated([keys[index] for index in kept], [weights[index] for index in kept]):
        kept = [index for place, index in enumerate(kept) if place not in repeated]
    return kept


def _repeated(keys: Sequence[Tokens], weights: Sequence[int]) -> set[int]:
    """The items that only repeat earlier ones, in the loops of the shortest period that has loops."""
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
            # At the end, an incomplete repetition belongs to the loop; elsewhere it may be the start of new text.
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
    """The key by which texts are compared: the words, or the text itself if it has none (a dash, a note)."""
    return _tokens(text) or (text.strip(),)


def _units(segment: Segment) -> tuple[Sequence[str], Sequence[Word]]:
    """The text in units whose joined text it is, and the segment's words, if they are exactly these units."""
    if segment.words and "".join(word.text for word in segment.words) == segment.text:
        return [word.text for word in segment.words], segment.words
    return _UNIT.findall(segment.text), ()


def _shortened(segment: Segment, text: str, words: tuple[Word, ...]) -> Segment:
    """The segment with less text. Its `tokens` are dropped, because they stand for the whole text."""
    end = min(segment.end, words[-1].end) if words else segment.end
    return replace(segment, text=text, words=words, tokens=(), end=max(segment.start, end))


def _cut_between(segments: Sequence[Segment]) -> Segments:
    keys = [_key(segment.text) for segment in segments]
    return tuple(segments[index] for index in _without_loops(keys, [len(key) for key in keys]))


Span = tuple[float, float]


def _ascending(spans: Sequence[Span], low: float, high: float) -> list[Span]:
    """The same spans inside [low, high]; each starts after the previous one starts and ends."""
    ascending: list[Span] = []
    for start, end in reversed(_forward(spans, low, high)):
        next_start = ascending[-1][0] if ascending else high
        ascending.append((start, min(max(start, end), next_start)))
    return ascending[::-1]


def _forward(spans: Sequence[Span], low: float, high: float) -> list[Span]:
    """The spans with starts that ascend from `low` up to `high`."""
    forward: list[Span] = []
    for start, end in spans:
        low = max(low, min(start, high))
        forward.append((low, end))
    return forward


def _with_times(segment: Segment, start: float, end: float) -> Segment:
    times = _ascending([(word.start, word.end) for word in segment.words], start, end)
    return segment.at(start, end, tuple(word.at(a, b) for word, (a, b) in zip(segment.words, times, strict=True)))
