"""Whisper's rules over decoded tokens, as pure functions: quality gates, token cap, segments by timestamps.

They follow openai/whisper and faster-whisper (`generate_with_fallback`, `_split_segments_by_timestamps`).
"""

from __future__ import annotations

import itertools
import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scrivano.domain.chunk import SAMPLE_RATE
from scrivano.domain.errors import EngineInput
from scrivano.domain.job import Task
from scrivano.engines.engine import AudioChunk, DecodingOptions

WINDOW_SAMPLES = 30 * SAMPLE_RATE

# Seconds that one timestamp token stands for.
TIMESTAMP_SECONDS = 0.02

# What Whisper decodes at most from one window: half of its text context of 448.
WINDOW_TOKENS = 224

# No speech needs more. Fast speech has about 13 characters a second, and a script that Whisper's vocabulary spells in
# single bytes (Burmese, Khmer, Amharic) takes three tokens for each; English stays below 10 tokens a second.
MAX_TOKENS_PER_SECOND = 40

# Caps come in steps: windows of one batch must share theirs, for the search looks at it.
CAP_STEPS = (64, 128, WINDOW_TOKENS)

# A shorter rest of a window is not decoded again. Speech padding and the error of timestamps are half a second each;
# shown less than a second of sound, Whisper makes words up.
MIN_REST_S = 1.0

# The same where the model closed its text with a single timestamp, "no more speech". Whisper believes it; but chunks
# end with speech that the VAD heard, so with this much left the model has left something out.
MIN_CLOSED_REST_S = 3.0

# Decoding goes on at least this far behind the start of the window before: at most 29 rounds for 30 s.
MIN_PROGRESS_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One decoding of one window, and what its quality is judged by (see `transcript.Segment` for the figures)."""

    tokens: tuple[int, ...]
    avg_logprob: float
    no_speech_prob: float
    compression_ratio: float
    temperature: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoken:
    """Text between two timestamps. Seconds from the window's start; `tokens` are text only."""

    start: float
    end: float
    tokens: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """A window's text in segments.

    `rest`: seconds from the window's start from where the model did not finish; None when it did.
    `unfinished`: what it had begun to say there. `open_end`: the text has no closing timestamp at all.
    """

    spoken: tuple[Spoken, ...]
    rest: float | None = None
    unfinished: Spoken | None = None
    open_end: bool = False


def checked_language(chunk: AudioChunk, known: Sequence[str], *, multilingual: bool) -> str | None:
    """The language to decode in, None where it must be detected. Raises `EngineInput` for what no model decodes."""
    if len(chunk.audio) > WINDOW_SAMPLES:
        raise EngineInput(f"a chunk has at most 30 s of audio; this one has {len(chunk.audio) / SAMPLE_RATE:.2f} s")
    if chunk.task not in (Task.TRANSCRIBE, Task.TRANSLATE):
        raise EngineInput(f"unknown task {chunk.task!r}")
    language = chunk.language if multilingual else "en"
    if language is not None and language not in known:
        raise EngineInput(f"this model does not know the language {language!r}")
    if chunk.languages and multilingual and not set(chunk.languages) & set(known):
        raise EngineInput(f"this model knows none of the languages {', '.join(chunk.languages)}")
    return language


def compression_ratio(text: str) -> float:
    """Plain bytes over zlib bytes; 0 for no text."""
    data = text.encode()
    return len(data) / len(zlib.compress(data))


def token_cap(seconds: float) -> int:
    """How many new tokens a window with so much audio may get: never fewer than speech can need."""
    most = math.ceil(seconds * MAX_TOKENS_PER_SECOND)
    return next((cap for cap in CAP_STEPS if cap >= most), WINDOW_TOKENS)


def is_silence(attempt: Attempt, options: DecodingOptions) -> bool:
    """Whether to drop the window's text: the model heard no speech and is unsure of what it wrote."""
    silent = attempt.no_speech_prob > options.no_speech_threshold
    return silent and attempt.avg_logprob <= options.logprob_threshold


def needs_fallback(attempt: Attempt, options: DecodingOptions) -> bool:
    """Whether to try the next temperature: the text repeats itself, or is improbable without being silence."""
    if attempt.avg_logprob < options.logprob_threshold:
        return attempt.no_speech_prob <= options.no_speech_threshold
    return attempt.compression_ratio > options.compression_ratio_threshold


def best_attempt(attempts: Sequence[Attempt], options: DecodingOptions) -> Attempt:
    """The last one when it is good; else the most probable, of those that do not repeat themselves if there are any."""
    if not needs_fallback(attempts[-1], options):
        return attempts[-1]
    plain = [one for one in attempts if one.compression_ratio <= options.compression_ratio_threshold]
    return max(plain or attempts, key=lambda one: one.avg_logprob)


def split_by_timestamps(tokens: Sequence[int], *, timestamp_begin: int, eot: int, seconds: float) -> Split:
    """Cut a window of `seconds` of audio at pairs of timestamps; a single one at the end means that all was heard."""
    stamped = [token >= timestamp_begin for token in tokens]
    ended = len(tokens) >= 2 and stamped[-1] and not stamped[-2]
    cuts = [i for i in range(1, len(tokens)) if stamped[i] and stamped[i - 1]]

    def at(token: int) -> float:
        return min((token - timestamp_begin) * TIMESTAMP_SECONDS, seconds)

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
    """From where a window of `seconds` is decoded again as a window of its own; None when it was heard to its end.

    `last_word_end` counts where the text has no closing timestamp.
    """
    rest, least = split.rest, MIN_REST_S
    if rest is None and split.open_end:
        rest = last_word_end
    elif rest is None and split.spoken:
        rest, least = split.spoken[-1].end, MIN_CLOSED_REST_S
    said = any(one.tokens for one in (*split.spoken, *([split.unfinished] if split.unfinished else [])))
    if rest is None or not said:
        return None
    rest = max(rest, MIN_PROGRESS_S)
    return rest if seconds - rest > least else None


def likeliest(probabilities: Mapping[str, float], allowed: Sequence[str], limit: int) -> dict[str, float]:
    """The most probable languages, descending; where only some are allowed, their probabilities then sum to 1.

    Whoever names the languages knows that it is one of them: what the others had is shared out as these stand.
    """
    known = {code: probability for code, probability in probabilities.items() if not allowed or code in allowed}
    whole = sum(known.values()) if allowed else 1.0
    if not whole:  # none of them has any: all stand alike
        known, whole = dict.fromkeys(known, 1.0), float(len(known))
    ranked = sorted(known.items(), key=lambda item: (-item[1], item[0]))[:limit]
    return {code: probability / whole for code, probability in ranked}
