"""The Engine protocol: a loaded speech model. One adapter a file; a library's objects never leave its adapter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from scrivano.domain.transcript import Segment

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["RANKED", "TEMPERATURES", "AudioChunk", "ChunkResult", "DecodingOptions", "Engine"]

# Languages of which a detection tells the probability.
RANKED = 5

# Whisper's fallback ladder: the next one is tried when a window's text fails the quality gates.
TEMPERATURES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodingOptions:
    """How to decode; one batch has one set. Names and defaults as in Whisper.

    `hotwords`: words to expect, put before each window as faster-whisper does, ahead of `initial_prompt`.
    `urgent`: it goes before what else the engine works on; `yielding`: urgent work is expected and is not to wait for
    long. Neither changes what is heard.
    """

    beam_size: int = 5
    temperatures: tuple[float, ...] = TEMPERATURES
    compression_ratio_threshold: float = 2.4
    logprob_threshold: float = -1.0
    no_speech_threshold: float = 0.6
    word_timestamps: bool = True
    initial_prompt: str | None = None
    hotwords: str | None = None
    urgent: bool = False
    yielding: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioChunk:
    """`audio` is 16 kHz mono float32 in [-1, 1], at most 30 s. `language` is ISO 639-1; None: detect it.

    `languages`: it is one of these; empty: any that the model knows.
    """

    audio: NDArray[np.float32]
    language: str | None
    task: str = "transcribe"
    languages: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkResult:
    """`segments` have times from the chunk's first sample, ascending. `language_probability` is 1 when it was given.

    `language_probabilities`: of the likeliest languages, where it was detected. Where only some were allowed, those of
    all of these sum to 1.
    """

    language: str
    language_probability: float
    segments: tuple[Segment, ...]
    language_probabilities: Mapping[str, float] = field(default_factory=dict)


class Engine(Protocol):
    """A loaded model. Blocking; one batch at a time, and an urgent one beside it where the adapter allows it."""

    def decode(self, batch: Sequence[AudioChunk], options: DecodingOptions) -> list[ChunkResult]:
        """One result per chunk, in the order given. Languages and tasks may differ within a batch.

        The same chunk gives the same result whatever else is in the batch.
        Raises `EngineError`, nothing else.
        """

    def close(self) -> None:
        """Free the model. Closing twice is fine."""
