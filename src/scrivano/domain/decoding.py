"""How a chunk is decoded, and what an engine returns for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from scrivano.domain.coverage import Span
from scrivano.domain.transcript import Segment

__all__ = ["REPAIR_SHARE", "ChunkResult", "DecodingOptions"]

# Whisper's fallback ladder: the next one is tried when a window's text fails the quality gates.
TEMPERATURES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)


# Repairs take at most this share of a chunk's audio. Two attempts at a bad chunk rarely take more.
REPAIR_SHARE = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodingOptions:
    """How to decode; one batch has one set. Names and defaults as in Whisper.

    `hotwords`: words to expect, put before each window as faster-whisper does, ahead of `initial_prompt`.
    `repair_share`: how much of a chunk's audio may be decoded once more where speech got no words; 1 is all of it.
    `urgent`: this batch goes before other work of the engine. `yielding`: urgent batches are expected, so this one
    pauses for them. Neither changes the text.
    """

    beam_size: int = 5
    temperatures: tuple[float, ...] = TEMPERATURES
    compression_ratio_threshold: float = 2.4
    logprob_threshold: float = -1.0
    no_speech_threshold: float = 0.6
    word_timestamps: bool = True
    initial_prompt: str | None = None
    hotwords: str | None = None
    repair_share: float = REPAIR_SHARE
    urgent: bool = False
    yielding: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkResult:
    """`segments` ascend; their times count from the first sample of the chunk.

    `language_probability` is 1 when the language was given. `language_probabilities`: those of the likeliest languages,
    where the language was detected, also beside one that was given; if only some languages were allowed, theirs sum to
    1. `repaired`: speech that had no words until it was decoded again.
    """

    language: str
    language_probability: float
    segments: tuple[Segment, ...]
    language_probabilities: Mapping[str, float] = field(default_factory=dict)
    repaired: tuple[Span, ...] = ()
