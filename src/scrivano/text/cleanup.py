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

__all__ = ["clean", "collapse_rolling", "cut_loops", "drop_silence", "drop_sounds", "loops_in", "monotone"]

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
        speech = (drop_sounds(segment) for segment in segments)
        spoken = drop_silence(segment for segment in speech if segment.text.strip())
        return monotone(cut_loops(collapse_rolling(spoken)), duration)

    return _until_stable(once, tuple(segments))


def drop_sounds(segment: Segment) -> Segment:
    """The segment without what describes sounds and is not said: `[MUSIC]`, `(applause)`, `♪`. Lyrics stay.

    Nobody says square brackets. Round ones and asterisks may hold words that were said, so they go only if they name a
    known sound, or are all of a segment and short. Brackets with digits stay: `(800) 555`.
    """
    spans = [match.span() for match in _SOUND.finditer(segment.text)]
    if _SOUND_ALONE.fullmatch(segment.text) or (spans and not _has_words(segment.text, spans)):
        spans = [(0, len(segment.text))]
    if not spans:
        return segment
    units, words = _units(segment)
    texts = _outside(spans, units if words else [segment.text])
    kept = [_with_text(word, text) for word, text in zip(words, texts, strict=True) if text.strip()] if words else []
    if kept:
        kept[0] = _with_text(kept[0], kept[0].text.lstrip())
    text = "".join(word.text for word in kept) if words else texts[0].strip()
    start, end = (kept[0].start, kept[-1].end) if kept else (segment.start, segment.end)
    return replace(segment, text=text, words=tuple(kept), tokens=(), start=start, end=max(start, end))


def _has_words(text: str, spans: Sequence[tuple[int, int]]) -> bool:
    """Whether more than marks is left outside the spans: a dash or `>>` before a sound says nothing."""
    return any(char.isalnum() for char in _outside(spans, [text])[0])


def _with_text(word: Word, text: str) -> Word:
    return replace(word, text=text)


def _outside(spans: Sequence[tuple[int, int]], units: Sequence[str]) -> list[str]:
    """What is left of each unit without the spans of their joined text."""
    hidden = {place for start, end in spans for place in range(start, end)}
    left, offset = [], 0
    for unit in units:
        left.append("".join(char for place, char in enumerate(unit, offset) if place not in hidden))
        offset += len(unit)
    return left


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
    follows at once. At the same time, its last word may also be another one, or be missing.

    Real speech is kept: repeated words ("No. No."), an answer that starts like the previous one after a pause, and,
    after a full stop, also without a pause ("Yes. Yes, I do."), unless it grows twice.
    """
    return _until_stable(_collapse_once, tuple(segments))


def cut_loops(segments: Iterable[Segment]) -> Segments:
    """Keep the first repetition of each loop, within a segment and across segments."""
    return _cut_between([_cut_within(segment) for segment in segments])


def loops_in(segments: Iterable[Segment]) -> int:
    """How many loops `cut_loops` cuts: one for each segment that has one, and one if segments repeat others."""
    whole = tuple(segments)
    cut = [_cut_within(segment) for segment in whole]
    within = sum(before is not after for before, after in zip(whole, cut, strict=True))
    return within + (len(_cut_between(cut)) < len(cut))


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


# Sounds that Whisper, and subtitles that it learned from, put in brackets.
_SOUNDS = (
    r"(?:\w+ ){0,2}(?:music|applause|laugh(?:s|ter|ing)?|chuckl(?:es|ing)|clap(?:s|ping)|cheer(?:s|ing)|cough(?:s|ing)?"
    r"|sigh(?:s|ing)?|gasps?|sobs?|sniffs?|inaudible|unintelligible|indistinct|crosstalk|silence|noise|beep(?:s|ing)?"
    r"|clears throat|blank[_ ]audio|no audio|foreign|speaking foreign language)(?: \w+){0,2}"
)
_NOTES = "\u2669\u266a\u266b\u266c\U0001f3b5\U0001f3b6"
_SOUND = re.compile(
    rf"\s*(?:\[[^\[\]\d]*\]|\u3010[^\u3010\u3011\d]*\u3011|\({_SOUNDS}\)|\*{_SOUNDS}\*|<{_SOUNDS}>|\{{{_SOUNDS}\}}|[{_NOTES}]+)",
    re.IGNORECASE,
)
# All of a segment, three words at most: `(Musik)`, `(rires du public)`, `*klopft*`, and a bracket that is not closed.
_WORDS = r"(?:[^\W\d]+[ -]?){1,3}"
_SOUND_ALONE = re.compile(
    rf"[-\s>]*(?:(?:\({_WORDS}\)|\uff08{_WORDS}\uff09|\u3014{_WORDS}\u3015|\u3008{_WORDS}\u3009|\*{_WORDS}\*|\[{_WORDS})[.!]?\s*)+"
)

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

    def revised_as(self, other: _Hypothesis) -> bool:
        """The other lies at the same time and has the same words but the last, which it may also have taken back.

        If both start together, half of the words are enough.
        """
        count = len(self.tokens)
        same = max(1, count - 1)
        revised = count > 1 and len(other.tokens) >= same and other.tokens[:same] == self.tokens[:same]
        withdrawn = 0 < len(other.tokens) < count and self.tokens[: len(other.tokens)] == other.tokens
        return (revised or withdrawn or self._resembles(other)) and _same_time(self.segment, other.segment)

    def _resembles(self, other: _Hypothesis) -> bool:
        together = abs(other.segment.start - self.segment.start) <= ADJACENT_S / 2
        same = sum(one == another for one, another in zip(self.tokens, other.tokens, strict=False))
        return together and 0 < len(self.tokens) <= len(other.tokens) and 2 * same >= len(self.tokens)

    def completed_as(self, other: _Hypothesis) -> bool:
        """The last word was cut off: the other completes it, has more words, and overlaps or follows at once."""
        count = len(self.tokens)
        if not 1 < count < len(other.tokens) or self.tokens[: count - 1] != other.tokens[: count - 1]:
            return False
        completes = other.tokens[count - 1].startswith(self.tokens[count - 1])
        return completes and _distance(self.segment, other.segment) <= ADJACENT_S

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
    certain = _reach(hypotheses, start, _is_surely_rolling)
    growing = _reach(hypotheses, start, lambda one, other: one.grows_into(other) or one.completed_as(other))
    # A hypothesis that grows twice is not real speech, even across ends of sentences.
    return growing if growing - start > 2 else certain


def _is_surely_rolling(one: _Hypothesis, other: _Hypothesis) -> bool:
    return one.surely_grows_into(other) or one.decoded_again_as(other) or one.revised_as(other)


def _reach(hypotheses: Sequence[_Hypothesis], start: int, linked: Callable[[_Hypothesis, _Hypothesis], bool]) -> int:
    end = start + 1
    while end < len(hypotheses) and linked(hypotheses[end - 1], hypotheses[end]):
        end += 1
    return end


def _last_of(chain: Sequence[_Hypothesis]) -> Segment:
    """The last hypothesis, over the time of the whole chain; if it only lacks words, the longest one with them."""
    if len(chain) == 1:
        return chain[0].segment
    count = len(chain[-1].tokens)
    longer = [one for one in chain if one.tokens[:count] == chain[-1].tokens]
    last = max(reversed(longer), key=lambda one: len(one.tokens)).segment
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
