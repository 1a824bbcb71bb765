"""The `Engine` protocol, and the values that go into an engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from scrivano.domain.coverage import Span
from scrivano.domain.decoding import ChunkResult, DecodingOptions

# The worker imports this module before it tunes the allocator, and NumPy starts threads when it is imported.
if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["RANKED", "AudioChunk", "Engine", "LoadOptions"]

# A language detection reports the probabilities of this many languages.
RANKED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadOptions:
    """Which model to load, and on which device.

    `path`: the folder of a CTranslate2 model, or the GGML file of a whisper.cpp model.
    `device`: `cpu` or `cuda`. `cpu_threads`: 0 means one for each core that this process may use.
    `compute_type`: as in CTranslate2; whisper.cpp uses the types that are in the file.
    `fast`: fill a short window with only a little silence instead of 30 s. Stock models may then repeat themselves or
    stop early; such a window is decoded again with all of the silence. whisper.cpp ignores it.
    """

    path: Path
    device: str = "cpu"
    device_index: int = 0
    compute_type: str = "default"
    cpu_threads: int = 0
    fast: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioChunk:
    """`audio` is 16 kHz mono float32 in [-1, 1], at most 30 s.

    `language`: an ISO 639-1 code; None: detect it, among `languages`, or among all that the model knows if these are
    none. `detect`: also if it is given, without effect on the text. `check_language`: the same, but only if that costs
    little. `speech`: where speech was found, in seconds from the first sample, ascending; without it no text is missed.
    """

    audio: NDArray[np.float32]
    language: str | None
    task: str = "transcribe"
    languages: tuple[str, ...] = ()
    speech: tuple[Span, ...] = ()
    detect: bool = False
    check_language: bool = False


class Engine(Protocol):
    """A loaded speech model. Its methods block and raise `EngineError`, nothing else.

    One batch at a time; if the adapter allows it, an urgent batch in a second thread concurrently.
    """

    def warm_up(self) -> None:
        """Decode a second of silence, so that a device that does not work fails before the model counts as ready."""

    def decode(self, batch: Sequence[AudioChunk], options: DecodingOptions) -> list[ChunkResult]:
        """Return one result for each chunk, in the order given. Languages and tasks may differ within a batch.

        A chunk's result does not depend on the other chunks of the batch.
        """

    def close(self) -> None:
        """Free the model. A second call does nothing."""
