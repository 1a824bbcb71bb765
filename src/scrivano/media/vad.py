"""Silero VAD v6, streaming: how likely each 32 ms of audio is speech. Flat memory; as many threads as one likes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from scrivano.media.chunking import WINDOW
from scrivano.media.onnx_graph import halves

# Blocks of one recording, whole windows of 16 kHz mono → how likely each window is speech, block by block.
Hear = Callable[[Iterable[NDArray[np.int16]]], Iterator[NDArray[np.float32]]]

# Samples of the window before that the network sees in front of each window.
CONTEXT = 64

# After so many windows (about a second) of nothing but zeros, further zeros are silence without asking the network, and
# what follows is heard afresh. Ten hours of digital silence then cost as much as reading them, and the speech behind
# them is heard better: half a minute of zeros leaves the network's state so that it hardly reaches 0.5 for clear speech
# (measured: 0.5 to 0.6 instead of 0.9 to 0.99 in the first third of a second).
SILENT_WINDOWS = 32


def model_path() -> Path:
    """The ONNX file that faster-whisper bundles; found without importing that package (which takes a second)."""
    spec = find_spec("faster_whisper")
    folders = spec.submodule_search_locations if spec else None
    if not folders:
        raise ModuleNotFoundError("faster-whisper is not installed; it brings the speech detector")
    return Path(next(iter(folders))) / "assets" / "silero_vad_v6.onnx"


# How far below full scale 16 bits reach.
FLOOR_DB = 96.0


def loudness(blocks: Iterable[NDArray[np.int16]]) -> Iterator[NDArray[np.float32]]:
    """In place of a `SileroVad`, for a recording that is to be decoded whole: no window is less than speech (0.5), and
    the louder it is, the nearer to 1. So the recording is cut where it is quietest."""
    return map(_loudness, blocks)


def _loudness(audio: NDArray[np.int16]) -> NDArray[np.float32]:
    windows = audio.reshape(-1, WINDOW).astype(np.float32) / 32768
    power = np.maximum(np.mean(windows * windows, axis=1), 10 ** (-FLOOR_DB / 10))
    level = np.clip(1 + 10 * np.log10(power) / FLOOR_DB, 0, 1)
    probabilities: NDArray[np.float32] = (0.5 + level / 2).astype(np.float32)
    return probabilities


@dataclass(frozen=True, slots=True)
class _Run:
    """Windows in a row, all of them deep in digital silence or none; `before` are the `CONTEXT` samples before them."""

    windows: NDArray[np.int16]
    before: NDArray[np.int16]
    silent: bool


@dataclass(frozen=True, slots=True)
class _Encoded:
    """`features` [windows, 1, 128] is what the encoder made of a run; None: silence, which it did not see."""

    windows: int
    features: NDArray[np.float32] | None


# The built-in `map`, or one that uses several threads, as `ParallelMap.map` does.
Spread = Callable[[Callable[[list[_Run]], list[_Encoded]], Iterable[list[_Run]]], Iterator[list[_Encoded]]]


class SileroVad:
    """The network and its state. Call it with the blocks of one recording; a new recording needs a new one.

    The network is run in two halves. The encoder, nine tenths of the work, sees each window by itself (and the end of
    the one before), so its blocks may be spread over threads; what remembers, a small LSTM, hears them in order.
    Nothing but time depends on `spread`: the probabilities are the undivided network's to the last bit, where lanes
    of the whole network would differ behind each seam. Its memory is long; in noise (10 dB) they differ by up to 0.9,
    half a minute of run-up notwithstanding.

    The probabilities are the same, to float rounding, however the recording is cut into blocks; a caller that
    needs the very same bits on every run uses blocks of one size.
    """

    def __init__(self, model: Path) -> None:
        encoder, memory = halves(model.read_bytes(), "LSTM")
        self._encoder = _session(encoder)
        self._memory = _session(memory)
        self._features = self._memory.get_inputs()[0].name
        self._zeros = 0
        self._before = np.zeros(CONTEXT, np.int16)
        self._hidden, self._cell = _fresh_state()

    def __call__(self, blocks: Iterable[NDArray[np.int16]], spread: Spread = map) -> Iterator[NDArray[np.float32]]:
        """One probability per `WINDOW` samples of 16 kHz mono audio. A block is whole windows, and stays as it is.

        With threads, blocks are taken ahead of those that are given out.
        """
        for runs in spread(self._encode, map(self._runs, blocks)):
            yield np.concatenate([self._judge(run) for run in runs])

    def _runs(self, audio: NDArray[np.int16]) -> list[_Run]:
        windows = audio.reshape(-1, WINDOW)
        silent = self._long_silent(windows)
        edges = [0, *np.flatnonzero(np.diff(silent)) + 1, len(windows)]
        return [self._run(windows[start:end], bool(silent[start])) for start, end in pairwise(edges)]

    def _run(self, windows: NDArray[np.int16], silent: bool) -> _Run:
        run = _Run(windows, self._before, silent)
        self._before = windows[-1, -CONTEXT:]
        return run

    def _long_silent(self, windows: NDArray[np.int16]) -> NDArray[np.bool_]:
        """Which windows lie deep in digital silence; it may have begun in an earlier block."""
        index = np.arange(len(windows))
        last_sound = np.maximum.accumulate(np.where(windows.any(axis=1), index, -1 - self._zeros))
        zeros = index - last_sound
        self._zeros = int(zeros[-1])
        deep: NDArray[np.bool_] = zeros > SILENT_WINDOWS
        return deep

    def _encode(self, runs: list[_Run]) -> list[_Encoded]:
        """Has no state; a session may run in several threads at once."""
        return [_Encoded(len(run.windows), None if run.silent else self._encode_run(run)) for run in runs]

    def _encode_run(self, run: _Run) -> NDArray[np.float32]:
        audio = np.empty((len(run.windows), CONTEXT + WINDOW), np.float32)
        np.divide(run.windows, 32768, out=audio[:, CONTEXT:], casting="unsafe")
        np.divide(run.before, 32768, out=audio[0, :CONTEXT], casting="unsafe")
        audio[1:, :CONTEXT] = audio[:-1, -CONTEXT:]
        features: NDArray[np.float32] = self._encoder.run(None, {"input": audio})[0]
        return features

    def _judge(self, run: _Encoded) -> NDArray[np.float32]:
        if run.features is None:
            self._hidden, self._cell = _fresh_state()
            return np.zeros(run.windows, np.float32)
        state = {"h": self._hidden, "c": self._cell}
        speech, self._hidden, self._cell = self._memory.run(None, {self._features: run.features, **state})
        probabilities: NDArray[np.float32] = speech.reshape(-1)
        return probabilities


def _fresh_state() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The two halves of the LSTM's state."""
    return np.zeros((1, 1, 128), np.float32), np.zeros((1, 1, 128), np.float32)


def _session(model: bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.inter_op_num_threads = 1
    options.intra_op_num_threads = 1
    # The network is tiny: an arena saves nothing measurable and holds on to its largest block.
    options.enable_cpu_mem_arena = False
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"], sess_options=options)
