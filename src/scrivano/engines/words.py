"""Words with times from an alignment of tokens to audio, as pure functions.

The rules for words that are too long next to a pause follow openai/whisper (`add_word_timestamps`).
"""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from scrivano.domain.transcript import Segment, Word
from scrivano.engines.decoding_rules import Decoding, Spoken, TokenTimes

# CTranslate2 aligns tokens to positions of the encoder's output, 20 ms each.
POSITIONS_PER_SECOND = 50

# Whisper's bound of the usual duration of a word: the median of few words may be far off.
LONGEST_USUAL_WORD_S = 0.7

# Characters a second; auctioneers reach 30. An alignment that needs more has failed.
FASTEST_SPEECH = 40

SENTENCE_ENDS = frozenset(".。!！?？")  # noqa: RUF001
OPENING = frozenset("\"'“¿([{-")
CLOSING = frozenset("\"'.。,，!！?？:：”)]}、")  # noqa: RUF001

# Tokens to words and the tokens of each.
SplitWords = Callable[[list[int]], tuple[list[str], list[list[int]]]]


@dataclass(slots=True, kw_only=True)
class _Timed:
    """A word while its times are corrected; seconds from the window's start."""

    text: str
    start: float
    end: float
    probability: float

    @property
    def seconds(self) -> float:
        return self.end - self.start

    @property
    def letters(self) -> int:
        """0 for a mark that closes a word."""
        return 0 if self.text.strip() in CLOSING else len(self.text)


@dataclass(frozen=True, slots=True, kw_only=True)
class TimedText:
    """A segment with the times of its words, in seconds from the window's start. `words`, joined, are `text`."""

    start: float
    end: float
    text: str
    words: tuple[Word, ...]


def token_times(alignment: Sequence[tuple[int, int]], probabilities: Sequence[float]) -> TokenTimes:
    """Convert CTranslate2's pairs (token, encoder position), ascending. A token starts at its first pair."""
    first: dict[int, int] = {}
    for token, position in alignment:
        first.setdefault(token, position)
    starts = tuple(first[token] / POSITIONS_PER_SECOND for token in sorted(first))
    return TokenTimes(starts=starts, probabilities=tuple(probabilities))


def place_words(
    spoken: Sequence[Spoken], texts: Sequence[str], times: TokenTimes, split: SplitWords, *, seconds: float
) -> list[TimedText]:
    """Place the words of a window's segments in time, between 0 and `seconds`.

    `spoken`: the segments, whose tokens in a row are those of `times`; `texts`: the text of each, without outer spaces.
    """
    groups = _timed(spoken, times, split)
    usual = _usual_duration([word for group in groups for word in group])
    squeezed = [_is_squeezed(group) for group in groups]
    for group in groups:
        _share_time(group, usual)
    _shorten_at_sentence_ends([word for group in groups for word in group], 2 * usual)
    placed = []
    silent_until = 0.0
    for segment, text, group, failed in zip(spoken, texts, groups, squeezed, strict=True):
        words = _merged(group)
        start, end = _fit(words, segment, silent_until, usual)
        too_fast = len(text) > FASTEST_SPEECH * (end - start) and segment.end - segment.start > end - start
        if too_fast or (failed and segment.end > segment.start):
            start, end = _spread(words, segment)
        silent_until = end
        start, end = min(start, seconds), min(end, seconds)
        exact = _exact(_bounded(words, seconds), text)
        placed.append(TimedText(start=start, end=max(start, end), text=text, words=exact))
    return placed


def timed_segments(
    decoding: Decoding, spoken: Sequence[Spoken], timed: Sequence[TimedText], *, offset: float
) -> list[Segment]:
    """Return a window's segments with times from the chunk's first sample; `offset`: the window's start, in seconds.

    Segments without text or of no duration are left out. Whisper made the latter up, and leaves them out itself, too.
    """
    return [
        Segment(
            start=text.start,
            end=text.end,
            text=text.text,
            avg_logprob=decoding.avg_logprob,
            no_speech_prob=decoding.no_speech_prob,
            compression_ratio=decoding.compression_ratio,
            temperature=decoding.temperature,
            words=text.words,
            tokens=one.tokens,
        ).shifted(offset)
        for one, text in zip(spoken, timed, strict=True)
        if text.text and text.end > text.start
    ]


def _timed(spoken: Sequence[Spoken], times: TokenTimes, split: SplitWords) -> list[list[_Timed]]:
    groups = []
    first = 0
    for segment in spoken:
        group = []
        for text, tokens in zip(*split(list(segment.tokens)), strict=True):
            last = first + len(tokens)
            probability = statistics.fmean(times.probabilities[first:last])
            group.append(_Timed(text=text, start=times.starts[first], end=times.starts[last], probability=probability))
            first = last
        groups.append(group)
    return groups


def _usual_duration(words: Sequence[_Timed]) -> float:
    """Return the median duration in seconds, of words that have one; at most `LONGEST_USUAL_WORD_S`."""
    durations = [word.seconds for word in words if word.seconds > 0]
    return min(LONGEST_USUAL_WORD_S, statistics.median(durations)) if durations else 0.0


def _is_squeezed(words: Sequence[_Timed]) -> bool:
    """Whether the alignment failed: most of the text has no length."""
    without = sum(word.letters for word in words if word.seconds <= 0)
    return 2 * without > sum(word.letters for word in words)


def _share_time(words: Sequence[_Timed], usual: float) -> None:
    """Give words without length a share of the time of the word after them, at the end of a segment of the one before.

    The alignment leaves such a word where the word before it ends, which may be seconds before it is said: the pause is
    in the time of the word, or the mark, after it. So that time is shortened first, to what so many words usually take.
    """
    at = 0
    while at < len(words):
        run_end = _run_end(words, at)
        if run_end == at:
            at += 1
        elif run_end < len(words):
            _share_block(words[at : run_end + 1], words[run_end], usual, pause_first=_starts_sentence(words, at))
            at = run_end + 1
        else:
            timed = next((place for place in reversed(range(at)) if words[place].seconds > 0), at)
            _share_block(words[timed:], words[timed], usual, pause_first=words[timed].letters == 0)
            return


def _run_end(words: Sequence[_Timed], start: int) -> int:
    """One past the words without length from `start` on; `start` if there is none. A mark alone needs no length."""
    end = start
    while end < len(words) and words[end].seconds <= 0:
        end += 1
    return end if words[start].letters else start


def _starts_sentence(words: Sequence[_Timed], at: int) -> bool:
    return at == 0 or words[at - 1].text in SENTENCE_ENDS


def _share_block(block: Sequence[_Timed], timed: _Timed, usual: float, *, pause_first: bool) -> None:
    """Divide the time of one of the words among all of them, by their letters."""
    start, end = timed.start, timed.end
    most = usual * (1 + sum(word.letters > 0 for word in block))
    if pause_first:
        start = max(start, end - most)
    elif not timed.letters:
        end = min(end, start + most)
    per_letter = (end - start) / max(1, sum(word.letters for word in block))
    for word in block:
        word.start, word.end = start, start + per_letter * word.letters
        start = word.end
    block[-1].end = end


def _shorten_at_sentence_ends(words: Sequence[_Timed], longest: float) -> None:
    """Take pauses out of words: a pause between sentences is aligned to the full stop or to the word after it."""
    for before, word in itertools.pairwise(words):
        if word.seconds <= longest:
            continue
        if word.text in SENTENCE_ENDS:
            word.end = word.start + longest
        elif before.text in SENTENCE_ENDS:
            word.start = word.end - longest


def _merged(words: Sequence[_Timed]) -> list[_Timed]:
    """Join punctuation to words: opening marks to the next word, closing marks to the one before."""
    opened: list[_Timed] = []
    for word in reversed(words):
        if opened and word.text.startswith(" ") and word.text.strip() in OPENING:
            opened[-1].text = word.text + opened[-1].text
        else:
            opened.append(word)
    merged: list[_Timed] = []
    for word in reversed(opened):
        if merged and word.text in CLOSING and not merged[-1].text.endswith(" "):
            merged[-1].text += word.text
        else:
            merged.append(word)
    return merged


def _fit(words: list[_Timed], segment: Spoken, silent_until: float, usual: float) -> tuple[float, float]:
    """Return start and end of a segment, from its words.

    A first or last word that reaches far over the segment's timestamps is cut to them: it is too long to be true.
    """
    if not words:
        return segment.start, segment.end
    _shorten_after_pause(words, silent_until, usual)
    first, last = words[0], words[-1]
    start, end = first.start, last.end
    if first.start < segment.start - 0.5 and segment.start < first.end:
        start = first.start = max(0.0, min(first.end - usual, segment.start))
    if last.end > segment.end + 0.5 and segment.end > last.start:
        end = last.end = max(last.start + usual, segment.end)
    return start, end


def _shorten_after_pause(words: list[_Timed], silent_until: float, usual: float) -> None:
    """Take the pause since `silent_until`, the end of the segment before, out of the first two words."""
    longest = 2 * usual
    first = words[0]
    if first.end - silent_until <= 2 * longest:
        return
    second = words[1] if len(words) > 1 else None
    if first.seconds <= longest and (second is None or second.end - first.start <= 2 * longest):
        return
    if second is not None and second.seconds > longest:
        first.end = second.start = max(second.end / 2, second.end - longest)
    first.start = max(0.0, first.end - longest)


def _spread(words: Sequence[_Timed], segment: Spoken) -> tuple[float, float]:
    """Spread the words over the segment's timestamps, by their letters: the alignment squeezed them into a moment."""
    per_letter = (segment.end - segment.start) / max(1, sum(len(word.text) for word in words))
    now = segment.start
    for word in words:
        word.start, word.end = now, now + per_letter * len(word.text)
        now = word.end
    return segment.start, segment.end


def _bounded(words: Sequence[_Timed], seconds: float) -> list[Word]:
    """Clip the words to the window, and let no word start before the one before it."""
    bounded = []
    now = 0.0
    for word in words:
        start = min(max(now, word.start), seconds)
        end = min(max(start, word.end), seconds)
        bounded.append(Word(text=word.text, start=start, end=end, probability=word.probability))
        now = start
    return bounded


def _exact(words: Sequence[Word], text: str) -> tuple[Word, ...]:
    """Remove the first word's leading and the last word's trailing spaces, because `text` has none.

    If the words then do not join to `text` (a character was split between two tokens), the segment is one word.
    """
    if not words or not text:
        return ()
    joined = "".join(word.text for word in words)
    left = len(joined) - len(joined.lstrip())
    exact = []
    for word in words:
        mine, left = word.text[left:], max(0, left - len(word.text))
        exact.append(replace(word, text=mine))
    while exact and not exact[-1].text.strip():
        exact.pop()
    if exact:
        exact[-1] = replace(exact[-1], text=exact[-1].text.rstrip())
    exact = [word for word in exact if word.text]
    if "".join(word.text for word in exact) == text:
        return tuple(exact)
    probability = statistics.fmean(word.probability for word in words)
    return (Word(text=text, start=words[0].start, end=words[-1].end, probability=probability),)
