"""Whisper's rules over decoded tokens, as pure functions: prompt, quality gates, token cap, segments by timestamps.

They follow openai/whisper and faster-whisper (`generate_with_fallback`, `_split_segments_by_timestamps`).
"""

from __future__ import annotations

import itertools
import math
import re
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from scrivano.domain.chunk import SAMPLE_RATE
from scrivano.domain.decoding import DecodingOptions
from scrivano.domain.errors import EngineInput
from scrivano.domain.job import Task
from scrivano.engines.engine import AudioChunk

WINDOW_SAMPLES = 30 * SAMPLE_RATE

# The step from one timestamp token to the next.
TIMESTAMP_S = 0.02

# Han, kana and Hangul.
_SYLLABLES = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003134f]")

# Whisper decodes at most this many tokens from a window: half of its text context of 448.
WINDOW_TOKENS = 224

# No speech needs more. Fast speech has about 13 characters a second, and a script that Whisper's vocabulary spells in
# single bytes (Burmese, Khmer, Amharic) takes three tokens for each; English stays below 10 tokens a second.
MAX_TOKENS_PER_SECOND = 40

# Caps have few values, because windows are searched together only if they have the same cap.
CAP_STEPS = (64, 128, WINDOW_TOKENS)

# A shorter rest of a window is not decoded again. Speech padding and the error of timestamps are half a second each,
# and from less than a second of sound Whisper makes words up.
MIN_REST_S = 1.0

# The same if the model closed its text with a single timestamp, which means "no more speech". Whisper believes it; but
# our chunks end where the VAD found speech to end, so before such a long rest the model has left something out.
MIN_CLOSED_REST_S = 3.0

# The next window starts at least this much later than the one before: at most 29 rounds for 30 s.
MIN_PROGRESS_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenTimes:
    """`starts[i]`: when token i starts, in seconds from the window's start; one more value ends the last token.

    `probabilities`: one for each token.
    """

    starts: tuple[float, ...]
    probabilities: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoding:
    """One decoding of one window, with the figures that its quality is judged by (see `transcript.Segment`).

    `times`: those of all text tokens, if the library aligned them while it generated the text.
    """

    tokens: tuple[int, ...]
    avg_logprob: float
    no_speech_prob: float
    compression_ratio: float
    temperature: float
    times: TokenTimes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoken:
    """Text between two timestamps: seconds from the window's start; `tokens` are text only."""

    start: float
    end: float
    tokens: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """A window's text in segments.

    `rest`: where the part starts that the model did not finish, in seconds from the window's start; None: it finished.
    `unfinished`: the text that it started there. `open_end`: the text has no closing timestamp at all.
    """

    spoken: tuple[Spoken, ...]
    rest: float | None = None
    unfinished: Spoken | None = None
    open_end: bool = False


def checked_language(chunk: AudioChunk, known: Sequence[str], *, multilingual: bool) -> str | None:
    """Return the language to decode in, or None if it must be detected.

    `known`: the languages of the model. Raises `EngineInput` for a chunk that this model, or no model, can decode.
    """
    if len(chunk.audio) > WINDOW_SAMPLES:
        raise EngineInput(f"a chunk has at most 30 s of audio; this one has {len(chunk.audio) / SAMPLE_RATE:.2f} s")
    if chunk.task not in (Task.TRANSCRIBE, Task.TRANSLATE):
        raise EngineInput(f"unknown task {chunk.task!r}")
    language = chunk.language if multilingual else "en"
    if language == "yue" and "yue" not in known:  # only large-v3 has a token for Cantonese; it is written in Chinese
        language = "zh"
    if language is not None and language not in known:
        raise EngineInput(f"this model does not know the language {language!r}")
    if chunk.languages and multilingual and not set(chunk.languages) & set(known):
        raise EngineInput(f"this model knows none of the languages {', '.join(chunk.languages)}")
    return language


def prompt_tokens(encode: Callable[[str], Sequence[int]], options: DecodingOptions, *, context: int) -> list[int]:
    """Return the tokens that precede each window: the first hot words and the end of the initial prompt.

    Together they take at most half of the `context` tokens of the model. faster-whisper gives each a half, and if both
    are long, no tokens are left for the text.
    """
    hotwords = list(encode(" " + options.hotwords.strip())) if options.hotwords else []
    previous = list(encode(" " + options.initial_prompt.strip())) if options.initial_prompt else []
    most = context // 2 - 1
    hotwords = hotwords[: most // 2 if previous else most]
    return hotwords + previous[-(most - len(hotwords)) :]


def compression_ratio(text: str) -> float:
    """Return plain bytes over zlib bytes; 0 for an empty text.

    Whisper compresses UTF-8, in which good Russian exceeds its threshold: every letter has two bytes, and the first is
    always the same. Here each letter of any alphabet is a byte, as in English, and each character of a script that
    writes syllables or words is two.
    """
    data = _bytes(text)
    return len(data) / len(zlib.compress(data))


def _bytes(text: str) -> bytes:
    codes: dict[str, int] = {}
    data = bytearray()
    for char in text:
        if char.isascii():
            data.append(ord(char))
        elif _SYLLABLES.match(char):
            data += char.encode("utf-16-be")
        else:
            data.append(128 + codes.setdefault(char, len(codes)) % 128)
    return bytes(data)


def token_cap(seconds: float) -> int:
    """Return how many new tokens a window of that length may get: never fewer than speech can need."""
    most = math.ceil(seconds * MAX_TOKENS_PER_SECOND)
    return next((cap for cap in CAP_STEPS if cap >= most), WINDOW_TOKENS)


def is_silence(decoding: Decoding, options: DecodingOptions) -> bool:
    """Whether to drop the window's text: the model found no speech, and its text is improbable."""
    silent = decoding.no_speech_prob > options.no_speech_threshold
    return silent and decoding.avg_logprob <= options.logprob_threshold


def needs_fallback(decoding: Decoding, options: DecodingOptions) -> bool:
    """Whether to try the next temperature: the text repeats itself, or is improbable without being silence."""
    if decoding.avg_logprob < options.logprob_threshold:
        return decoding.no_speech_prob <= options.no_speech_threshold
    return decoding.compression_ratio > options.compression_ratio_threshold


def best_decoding(decodings: Sequence[Decoding], options: DecodingOptions) -> Decoding:
    """Return the last one if it is good, else the most probable of those that do not repeat themselves, or of all."""
    if not needs_fallback(decodings[-1], options):
        return decodings[-1]
    plain = [one for one in decodings if one.compression_ratio <= options.compression_ratio_threshold]
    return max(plain or decodings, key=lambda one: one.avg_logprob)


def split_by_timestamps(tokens: Sequence[int], *, timestamp_begin: int, eot: int, seconds: float) -> Split:
    """Cut the text of a window of `seconds` of audio at pairs of timestamps.

    A single timestamp at the end means that the model finished the window. Times are never greater than `seconds`.
    """
    stamped = [token >= timestamp_begin for token in tokens]
    ended = len(tokens) >= 2 and stamped[-1] and not stamped[-2]
    cuts = [i for i in range(1, len(tokens)) if stamped[i] and stamped[i - 1]]

    def at(token: int) -> float:
        return min((token - timestamp_begin) * TIMESTAMP_S, seconds)

    def piece(part: Sequence[int], start: float, end: float) -> Spoken:
        stamps = [token for token in part if token >= timestamp_begin]
        if part and part[0] >= timestamp_begin:
            start = at(part[0])
        if len(part) > 1 and part[-1] >= timestamp_begin and stamps[-1] > timestamp_begin:
            end = at(part[-1])
        return Spoken(start=start, end=max(start, end), tokens=tuple(token for token in part if token < eot))

    if not cuts:
        return Split(spoken=(piece(tokens, 0.0, seconds),), open_end=not ended)
    bounds = [0, *cuts, *([len(tokens)] if ended else [])]
    spoken = tuple(piece(tokens[a:b], 0.0, seconds) for a, b in itertools.pairwise(bounds))
    if ended:
        return Split(spoken=spoken)
    rest = at(tokens[cuts[-1] - 1])
    return Split(spoken=spoken, rest=rest, unfinished=piece(tokens[cuts[-1] :], rest, seconds))


def rest_of(split: Split, *, seconds: float, last_word_end: float | None = None) -> float | None:
    """Return where the part of a window of `seconds` starts that is decoded again, as a window; None if there is none.

    `last_word_end` is used if the text has no closing timestamp.
    """
    rest, least = split.rest, MIN_REST_S
    if rest is None and split.open_end:
        rest = last_word_end
    elif rest is None and split.spoken:
        rest, least = split.spoken[-1].end, MIN_CLOSED_REST_S
    has_text = any(one.tokens for one in (*split.spoken, *([split.unfinished] if split.unfinished else [])))
    if rest is None or not has_text:
        return None
    # Without a least progress, a first timestamp pair at 0.00 s would make the same window its own rest for ever.
    rest = max(rest, MIN_PROGRESS_S)
    return rest if seconds - rest > least else None


def likeliest(probabilities: Mapping[str, float], allowed: Sequence[str], limit: int) -> dict[str, float]:
    """Return the `limit` most probable languages, descending.

    If only some are `allowed`, their probabilities are scaled to sum to 1: the caller knows that it is one of them.
    """
    known = {code: probability for code, probability in probabilities.items() if not allowed or code in allowed}
    whole = sum(known.values()) if allowed else 1.0
    if not whole:  # all allowed languages have probability 0: take them as equally probable
        known, whole = dict.fromkeys(known, 1.0), float(len(known))
    ranked = sorted(known.items(), key=lambda item: (-item[1], item[0]))[:limit]
    return {code: probability / whole for code, probability in ranked}
