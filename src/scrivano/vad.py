"""Silero VAD v6, streaming: how likely each 32 ms of audio is speech. Flat memory, one thread."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from scrivano.chunking import WINDOW

CONTEXT = 64
"""Samples of the window before that the network sees in front of each window."""

SILENT_WINDOWS = 32
"""After so many windows (about a second) of nothing but zeros, further zeros are silence without asking the network,
and what follows is heard afresh. Ten hours of digital silence then cost as much as reading them, and the speech
behind them is heard better: half a minute of zeros leaves the network's state so that it hardly reaches 0.5 for
clear speech (measured: 0.5 to 0.6 instead of 0.9 to 0.99 in the first third of a second).
"""


def model_path() -> Path:
    """The ONNX file that faster-whisper bundles; found without importing that package (which takes a second)."""
    spec = find_spec("faster_whisper")
    folders = spec.submodule_search_locations if spec else None
    if not folders:
        raise ModuleNotFoundError("faster-whisper is not installed; it brings the speech detector")
    return Path(next(iter(folders))) / "assets" / "silero_vad_v6.onnx"


FLOOR_DB = 96.0
"""How far below full scale 16 bits reach."""


def loudness(audio: NDArray[np.int16]) -> NDArray[np.float32]:
    """In place of a `SileroVad`, for a recording that is to be decoded whole: no window is less than speech (0.5), and
    the louder it is, the nearer to 1. So the recording is cut where it is quietest."""
    windows = audio.reshape(-1, WINDOW).astype(np.float32) / 32768
    power = np.maximum(np.mean(windows * windows, axis=1), 10 ** (-FLOOR_DB / 10))
    level = np.clip(1 + 10 * np.log10(power) / FLOOR_DB, 0, 1)
    probabilities: NDArray[np.float32] = (0.5 + level / 2).astype(np.float32)
    return probabilities


class SileroVad:
    """The network and its state. Call it with consecutive blocks of one recording; a new recording needs a new one.

    The probabilities are the same, to float rounding, however the recording is cut into blocks; a caller that
    needs the very same bits on every run uses blocks of one size.
    """

    def __init__(self, model: Path) -> None:
        self._session = onnxruntime.InferenceSession(
            str(model), providers=["CPUExecutionProvider"], sess_options=_one_thread()
        )
        self._zeros = 0
        self._hidden, self._cell, self._context = _fresh_state()

    def __call__(self, audio: NDArray[np.int16]) -> NDArray[np.float32]:
        """One probability per `WINDOW` samples of 16 kHz mono audio. A block is whole windows."""
        windows = audio.reshape(-1, WINDOW)
        silent = self._long_silent(windows)
        if not silent.any():
            return self._hear(windows)
        edges = np.flatnonzero(np.diff(silent)) + 1
        runs = zip(np.split(windows, edges), np.split(silent, edges), strict=True)
        return np.concatenate([self._skip(run) if flags[0] else self._hear(run) for run, flags in runs])

    def _long_silent(self, windows: NDArray[np.int16]) -> NDArray[np.bool_]:
        """Which windows lie deep in digital silence; it may have begun in an earlier block."""
        index = np.arange(len(windows))
        last_sound = np.maximum.accumulate(np.where(windows.any(axis=1), index, -1 - self._zeros))
        zeros = index - last_sound
        if len(zeros):
            self._zeros = int(zeros[-1])
        deep: NDArray[np.bool_] = zeros > SILENT_WINDOWS
        return deep

    def _hear(self, windows: NDArray[np.int16]) -> NDArray[np.float32]:
        audio = np.empty((len(windows), CONTEXT + WINDOW), np.float32)
        np.divide(windows, 32768, out=audio[:, CONTEXT:], casting="unsafe")
        audio[0, :CONTEXT] = self._context
        audio[1:, :CONTEXT] = audio[:-1, -CONTEXT:]
        self._context = audio[-1, -CONTEXT:].copy()
        state = {"h": self._hidden, "c": self._cell}
        speech, self._hidden, self._cell = self._session.run(None, {"input": audio, **state})
        probabilities: NDArray[np.float32] = speech.reshape(-1)
        return probabilities

    def _skip(self, windows: NDArray[np.int16]) -> NDArray[np.float32]:
        self._hidden, self._cell, self._context = _fresh_state()
        return np.zeros(len(windows), np.float32)


def _fresh_state() -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """The two halves of the LSTM's state, and the samples before the first window."""
    return np.zeros((1, 1, 128), np.float32), np.zeros((1, 1, 128), np.float32), np.zeros(CONTEXT, np.float32)


def _one_thread() -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.inter_op_num_threads = 1
    options.intra_op_num_threads = 1
    # The network is tiny: an arena saves nothing measurable and holds on to its largest block.
    options.enable_cpu_mem_arena = False
    options.log_severity_level = 4
    return options
