"""Silero VAD v6 as a stream: the probability of speech in each 32 ms of audio. Its memory use is flat.

The network comes in two halves, `silero/encoder.onnx` and `silero/decoder.onnx`, which `tools/silero` cut from the
model that faster-whisper 1.2 bundles.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from copy import copy
from dataclasses import dataclass
from importlib.resources import files
from itertools import pairwise

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from scrivano.media.chunking import WINDOW

# Blocks of one recording (whole windows of 16 kHz mono) → the probability of speech in each window, block by block.
SpeechDetector = Callable[[Iterable[NDArray[np.int16]]], Iterator[NDArray[np.float32]]]


def whole_windows(block: NDArray[np.int16]) -> NDArray[np.int16]:
    """The block, with silence up to the end of its last window."""
    missing = -len(block) % WINDOW
    return np.pad(block, (0, missing)) if missing else block


# Samples of the previous window that the network sees in front of each window.
CONTEXT = 64

# After this many windows (about a second) of zeros, further zeros count as silence without running the network, and
# the network's state is reset. Ten hours of digital silence then cost as much as reading them, and speech behind the
# silence is found better: after half a minute of zeros, the unreset network hardly reaches 0.5 for clear speech
# (measured in the first third of a second: 0.5 to 0.6 instead of 0.9 to 0.99).
SILENT_WINDOWS = 32


@dataclass(frozen=True, slots=True)
class _Run:
    """Consecutive windows, either all deep in digital silence or none.

    `context`: the `CONTEXT` samples before them.
    """

    windows: NDArray[np.int16]
    context: NDArray[np.int16]
    silent: bool


@dataclass(frozen=True, slots=True)
class _Encoded:
    """The encoder's output for a run, [windows, 1, 128]. None: digital silence, which the encoder did not see."""

    windows: int
    features: NDArray[np.float32] | None


# The built-in `map`, or a map that uses several threads: `ParallelMap.map`.
MapFunction = Callable[[Callable[[list[_Run]], list[_Encoded]], Iterable[list[_Run]]], Iterator[list[_Encoded]]]


class SileroVad:
    """The network and its state. A call with the blocks of one recording begins anew, beside earlier ones.

    The encoder, nine tenths of the work, needs only a window and the end of the window before it, so several threads
    may encode blocks concurrently. The decoder is a small LSTM that remembers, so it takes the windows in order.

    The probabilities equal those of the undivided network to the last bit, whatever `map_function` is. Running the
    whole network on parts of the recording would not: the LSTM remembers so long that in noise (10 dB) probabilities
    behind a seam differ by up to 0.9, even with half a minute of overlap.

    Blocks of different sizes give the same probabilities up to float rounding. A caller that needs the same bits on
    every run uses blocks of one size.
    """

    def __init__(self) -> None:
        self._encoder = _session("encoder.onnx")
        self._decoder = _session("decoder.onnx")
        self._features = self._decoder.get_inputs()[0].name
        self._restart()

    def _restart(self) -> None:
        self._zeros = 0
        self._context = np.zeros(CONTEXT, np.int16)
        self._hidden, self._cell = _initial_state()

    def __call__(
        self, blocks: Iterable[NDArray[np.int16]], map_function: MapFunction = map
    ) -> Iterator[NDArray[np.float32]]:
        """One probability per `WINDOW` samples of 16 kHz mono audio.

        Each block is a whole number of windows, and must not change afterwards. A map with several threads takes
        further blocks before it returns the first result.
        """
        stream = copy(self)
        stream._restart()
        for runs in map_function(stream._encode, map(stream._runs, blocks)):
            yield np.concatenate([stream._decode(run) for run in runs])

    def _runs(self, audio: NDArray[np.int16]) -> list[_Run]:
        windows = audio.reshape(-1, WINDOW)
        silent = self._deep_in_silence(windows)
        edges = [0, *np.flatnonzero(np.diff(silent)) + 1, len(windows)]
        return [self._run(windows[start:end], bool(silent[start])) for start, end in pairwise(edges)]

    def _run(self, windows: NDArray[np.int16], silent: bool) -> _Run:
        run = _Run(windows, self._context, silent)
        self._context = windows[-1, -CONTEXT:]
        return run

    def _deep_in_silence(self, windows: NDArray[np.int16]) -> NDArray[np.bool_]:
        """For each window: whether more than `SILENT_WINDOWS` of zeros, across blocks, lead up to it."""
        index = np.arange(len(windows))
        last_sound = np.maximum.accumulate(np.where(windows.any(axis=1), index, -1 - self._zeros))
        zeros = index - last_sound
        self._zeros = int(zeros[-1])
        deep: NDArray[np.bool_] = zeros > SILENT_WINDOWS
        return deep

    def _encode(self, runs: list[_Run]) -> list[_Encoded]:
        """Stateless: several threads may use the encoder's session at once."""
        return [_Encoded(len(run.windows), None if run.silent else self._encode_run(run)) for run in runs]

    def _encode_run(self, run: _Run) -> NDArray[np.float32]:
        audio = np.empty((len(run.windows), CONTEXT + WINDOW), np.float32)
        np.divide(run.windows, 32768, out=audio[:, CONTEXT:], casting="unsafe")
        np.divide(run.context, 32768, out=audio[0, :CONTEXT], casting="unsafe")
        audio[1:, :CONTEXT] = audio[:-1, -CONTEXT:]
        features: NDArray[np.float32] = self._encoder.run(None, {"input": audio})[0]
        return features

    def _decode(self, run: _Encoded) -> NDArray[np.float32]:
        if run.features is None:
            self._hidden, self._cell = _initial_state()
            return np.zeros(run.windows, np.float32)
        state = {"h": self._hidden, "c": self._cell}
        speech, self._hidden, self._cell = self._decoder.run(None, {self._features: run.features, **state})
        probabilities: NDArray[np.float32] = speech.reshape(-1)
        return probabilities


def _initial_state() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The LSTM's hidden state and cell state."""
    return np.zeros((1, 1, 128), np.float32), np.zeros((1, 1, 128), np.float32)


def _session(half: str) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.inter_op_num_threads = 1
    options.intra_op_num_threads = 1
    # The network is tiny: an arena saves no measurable time and never returns its largest block.
    options.enable_cpu_mem_arena = False
    options.log_severity_level = 4
    model = (files("scrivano.media") / "silero" / half).read_bytes()
    return onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"], sess_options=options)
