"""The Engine protocol: a loaded speech model. One adapter a file; a library's objects never leave its adapter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from scrivano.domain.decoding import TEMPERATURES, ChunkResult, DecodingOptions

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["RANKED", "TEMPERATURES", "AudioChunk", "ChunkResult", "DecodingOptions", "Engine"]

# Languages of which a detection tells the probability.
RANKED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioChunk:
    """`audio` is 16 kHz mono float32 in [-1, 1], at most 30 s. `language` is ISO 639-1; None: detect it.

    `languages`: it is one of these; empty: any that the model knows.
    """

    audio: NDArray[np.float32]
    language: str | None
    task: str = "transcribe"
    languages: tuple[str, ...] = ()


class Engine(Protocol):
    """A loaded model. Blocking; one batch at a time, and an urgent one beside it where the adapter allows it."""

    def decode(self, batch: Sequence[AudioChunk], options: DecodingOptions) -> list[ChunkResult]:
        """One result per chunk, in the order given. Languages and tasks may differ within a batch.

        The same chunk gives the same result whatever else is in the batch.
        Raises `EngineError`, nothing else.
        """

    def close(self) -> None:
        """Free the model. Closing twice is fine."""
