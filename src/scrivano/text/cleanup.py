"""Decoded segments → stored segments: each stretch of speech once, times in order. Pure.

The segments are those of a chunk, or of a whole job, in file time. Text is only removed, never added or changed.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from scrivano.domain.coverage import Span, between, letters, seconds_of
from scrivano.domain.languages import UNSPACED
from scrivano.domain.quality import FASTEST, IN_SPEECH, Doubt, doubts_about
from scrivano.domain.transcript import Segment, Word
from scrivano.text.punctuation import ends_sentence

__all__ = ["Cleaned", "clean", "collapse_rolling", "cut_loops", "drop_silence", "drop_sounds", "monotone"]

Segments = tuple[Segment, ...]

# Segments with at most this gap between them are adjacent. Whisper's timestamps have steps of 0.02 s, and decoding the
# same audio again moves them by a few steps; a pause between sentences is longer.
ADJACENT_S = 0.2

MIN_REPEATS = 5
# Text may be a loop if a phrase is repeated at least `MIN_REPEATS` times in a row and the repetitions have at least
# `MIN_LOOP_UNITS` words. About there Whisper's own test, a compression ratio above 2.4, starts to detect loops ("thank
# you" five times: 2.33, "no" ten times: 2.23). A refrain sung four times, an emphatic "no, no, no" and the six zeros of
# a number stay below both.
MIN_LOOP_UNITS = 10

# The longest phrase, in words, and the longest series of segments whose repetition is searched for. 60 words take more
# than 20 s to say, so five repetitions are longer than the model's window.
MAX_PERIOD = 60


class Cleaned(NamedTuple):
    """`loops_cut`: how many loops the segments had."""

    segments: Segments
    loops_cut: int = 0


def clean(segments: Iterable[Segment], duration: float, speech: Sequence[Span] | None = None) -> Cleaned:
    """The segments of a job's transcript, from all decoded segments in order. `duration`: of the file, in seconds.

    `speech`: all that was detected in the time of these segments; None: not known. Cleaning twice gives the same as
    cleaning once. Times are put in order last, because rolling hypotheses are recognised by their overlap.
    """
    loops_cut = 0

    def once(segments: Segments) -> Segments:
        nonlocal loops_cut
        said = (drop_sounds(segment) for segment in segments)
        spoken = drop_silence(segment for segment in said if any(map(str.isalnum, segment.text)))
        left, cut = cut_loops(collapse_rolling(spoken), speech)
        loops_cut += cut
        return tuple(segment for segment in monotone(left, duration) if segment.start < segment.end)

    return Cleaned(_until_stable(once, tuple(segments)), loops_cut)


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


def cut_loops(segments: Iterable[Segment], speech: Sequence[Span] | None = None) -> Cleaned:
    """Keep the first repetition of each loop, within a segment and across segments.

    People repeat themselves, too, and so do recorded announcements. So a repetition is cut only if it was hardly said:
    its words are too close together, or the model was unsure of it, or no speech was detected there, or its window
    repeats itself too much. The last does not count if there is a stretch of detected speech for each repetition.
    Digits are cut only if they are too close together.
    """
    within = [_cut_within(segment, speech) for segment in segments]
    whole = tuple(segment for segment, _ in within)
    kept, loops = _without_loops([_Item(_key(one.text), len(_key(one.text)), one) for one in whole], speech)
    return Cleaned(tuple(whole[index] for index in kept), loops + sum(loops for _, loops in within))


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


@dataclass(frozen=True, slots=True)
class _Item:
    """A segment, or a word of one as a segment. `weight`: how many words it has. `timed`: the times are its own."""

    key: Tokens
    weight: int
    segment: Segment
    timed: bool = True


def _without_loops(items: Sequence[_Item], speech: Sequence[Span] | None) -> tuple[list[int], int]:
    """The indexes of the items to keep, and how many loops were cut.

    Short phrases are handled first: "no no no no" is "no" four times, not "no no" twice.
    """
    kept, loops = list(range(len(items))), 0
    while repeated := _repeated([items[index] for index in kept], speech):
        gone = {place for loop in repeated for place in loop}
        kept, loops = [index for place, index in enumerate(kept) if place not in gone], loops + len(repeated)
    return kept, loops


def _repeated(items: Sequence[_Item], speech: Sequence[Span] | None) -> list[list[int]]:
    """The items that only repeat earlier ones and were hardly said, loop by loop; loops of the shortest such period."""
    longest = min(MAX_PERIOD, len(items) // MIN_REPEATS)
    judged: list[range] = []
    for period in range(1, longest + 1):
        # What is repeated by ones is repeated by twos.
        loops = [loop for loop in _loops(items, period) if not any(_lies_in(loop, one) for one in judged)]
        unspoken = [list(_unspoken(items, loop, speech)) for loop in loops]
        if any(unspoken):
            return [one for one in unspoken if one]
        judged += loops
    return []


def _lies_in(loop: range, other: range) -> bool:
    return other.start <= loop.start and loop.stop <= other.stop


def _loops(items: Sequence[_Item], period: int) -> Iterator[range]:
    """Where each repetition of each loop starts, and where the loop stops; `step` is the period."""
    keys = [item.key for item in items]
    start = 0
    for at in range(period, len(items) + 1):
        if at < len(items) and (keys[at] == keys[at - period] or (at == len(items) - 1 and _is_stub(keys, period))):
            continue
        repeats = (at - start) // period
        weight = sum(item.weight for item in items[start : start + period])
        if repeats >= MIN_REPEATS and repeats * weight >= MIN_LOOP_UNITS:
            # At the end, an incomplete repetition belongs to the loop; elsewhere it may be the start of new text.
            yield range(start, at if at == len(items) else start + repeats * period, period)
        start = at - period + 1


def _is_stub(keys: Sequence[Tokens], period: int) -> bool:
    """Whether the last item is the start of the one that it would repeat: the model ran out of tokens there."""
    stub = "".join(keys[-1])
    return bool(stub) and "".join(keys[-1 - period]).startswith(stub)


def _unspoken(items: Sequence[_Item], loop: range, speech: Sequence[Span] | None) -> Iterator[int]:
    """The items of a loop's repetitions that were hardly said."""
    blocks = [items[at : min(at + loop.step, loop.stop)] for at in loop]
    said = [_as_one(block) for block in blocks]
    spoken_apart = len(_near(speech or (), said[0].start, said[-1].end)) >= len(blocks)
    for n in range(1, len(blocks)):
        crowded = blocks[n][0].timed and _is_crowded(said[n - 1 : n + 2])
        # Whether its words have room was judged with its neighbours: an alignment may squeeze one of them.
        doubts = {*doubts_about(said[n], None)} - ({Doubt.REPEATS, Doubt.TOO_FAST} if spoken_apart else set())
        doubtful = bool(doubts) or (speech is not None and not _is_heard(blocks[n], speech))
        if crowded or (doubtful and not _is_number(blocks[n])):
            yield from range(loop[n], loop[n] + len(blocks[n]))


def _is_heard(items: Sequence[_Item], speech: Sequence[Span]) -> bool:
    times = [(item.segment.start, item.segment.end) for item in items]
    heard = sum(seconds_of(between(_near(speech, start, end), start, end)) for start, end in times)
    return heard >= IN_SPEECH * sum(end - start for start, end in times)


def _is_number(items: Sequence[_Item]) -> bool:
    return "".join(token for item in items for token in item.key).isdigit()


def _as_one(items: Sequence[_Item]) -> Segment:
    first, last = items[0].segment, items[-1].segment
    return replace(
        first,
        end=max(first.start, last.end),
        text="".join(item.segment.text for item in items) if items[0].timed else first.text,
        words=tuple(word for item in items for word in item.segment.words),
        avg_logprob=min(item.segment.avg_logprob for item in items),
        compression_ratio=max(item.segment.compression_ratio for item in items),
    )


def _near(speech: Sequence[Span], start: float, end: float) -> Sequence[Span]:
    """Those of the ascending spans that reach between two times."""
    first = bisect_left(speech, start, key=lambda span: span.end)
    return speech[first : bisect_right(speech, end, key=lambda span: span.start)]


def _is_crowded(said: Sequence[Segment]) -> bool:
    """Whether there is too little time for a repetition, the one before it, and the one behind it.

    Of words that were said, an alignment may squeeze some, but not all.
    """
    return sum(letters(one.text) for one in said) > FASTEST * (said[-1].end - said[0].start)


def _cut_within(segment: Segment, speech: Sequence[Span] | None) -> tuple[Segment, int]:
    units, words = _units(segment)
    if len(units) < MIN_LOOP_UNITS:
        return segment, 0
    items = [_Item(_key(unit), 1, segment, timed=False) for unit in units]
    if not any(loop for period in range(1, len(items) // MIN_REPEATS + 1) for loop in _loops(items, period)):
        return segment, 0  # nearly always: the words need not become segments
    if words:
        parts = (replace(segment, start=word.start, end=word.end, text=word.text, words=(word,)) for word in words)
        items = [replace(item, segment=part, timed=True) for item, part in zip(items, parts, strict=True)]
    kept, loops = _without_loops(items, speech)
    if not loops:
        return segment, 0
    text = "".join(units[index] for index in kept)
    return _shortened(segment, text, tuple(words[index] for index in kept) if words else ()), loops


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


Times = tuple[float, float]


def _ascending(spans: Sequence[Times], low: float, high: float) -> list[Times]:
    """The same spans inside [low, high]; each starts after the previous one starts and ends."""
    ascending: list[Times] = []
    for start, end in reversed(_forward(spans, low, high)):
        next_start = ascending[-1][0] if ascending else high
        ascending.append((start, min(max(start, end), next_start)))
    return ascending[::-1]


def _forward(spans: Sequence[Times], low: float, high: float) -> list[Times]:
    """The spans with starts that ascend from `low` up to `high`."""
    forward: list[Times] = []
    for start, end in spans:
        low = max(low, min(start, high))
        forward.append((low, end))
    return forward


def _with_times(segment: Segment, start: float, end: float) -> Segment:
    times = _ascending([(word.start, word.end) for word in segment.words], start, end)
    return segment.at(start, end, tuple(word.at(a, b) for word, (a, b) in zip(segment.words, times, strict=True)))
