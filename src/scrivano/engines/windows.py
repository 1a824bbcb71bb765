"""How long windows and chunks are: by LATENCY, model and device. The figures are in docs/accuracy.md."""

from __future__ import annotations

from pathlib import Path

from scrivano.engines.catalog import encoder_width

__all__ = ["WINDOW_S", "are_short", "max_chunk_s"]

# Whisper's window.
WINDOW_S = 30.0

# With a second of silence, two thirds of it. With `base` on a CPU, the engine needs 0.79 of the processor time for long
# recordings: the work of attention grows with the length of a window, in the encoder as its square.
SHORT_CHUNK_S = 19.0

# Models of this width (that of base) have as good words with short windows. tiny.en has not, and larger models were not
# measured.
TRIED_WIDTH = 512


def are_short(latency: str, name: str, path: Path | None, *, device: str) -> bool:
    """Whether windows are padded with little silence, not to 30 s. `latency` as in Settings; `path`: of the model."""
    if path is not None and path.is_file():  # whisper.cpp pads all windows
        return False
    if latency != "auto":
        return latency == "fast"
    return device == "cpu" and encoder_width(name, path) == TRIED_WIDTH


def max_chunk_s(*, short: bool) -> float:
    """The most audio of a chunk whose windows are `short`."""
    return SHORT_CHUNK_S if short else WINDOW_S
