"""Audio → its voices: where speech is, and a vector for each part of it."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import as_file, files
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from scrivano.domain.chunk import SAMPLE_RATE
from scrivano.speakers.chunk_voices import StretchVoices
from scrivano.speakers.embedding import VoiceEncoder, VoiceSpace
from scrivano.speakers.fbank import FRAME
from scrivano.speakers.segmentation import (
    HOP_S,
    WINDOW_S,
    Activity,
    decode,
    frame_range,
    speech_spans,
    window_starts,
)

__all__ = ["CPU", "CUDA", "VoiceAnalyser", "open_analyser", "providers"]

logger = logging.getLogger(__name__)

Floats = NDArray[np.float32]

# Audio behind one vector, and, at most, between the starts of two. Shorter parts are less certain, longer ones hold two
# voices. A step of 0.75 s costs a tenth more and tells no more (docs/speakers.md).
PART_S = 1.5
PART_STEP_S = 0.9
# Shorter parts do not shape a speaker.
SOLID_S = 0.9
# Parts that share audio are of one voice if their cosine reaches this.
SOLID_COSINE = 0.5
# So much of a solid part is one local voice.
SOLID_ALONE = 0.95

# Windows that the segmentation hears at once: a sixth faster than one by one, since it goes step by step through each.
# Three take 60 MB more, and no less time.
WINDOWS_AT_ONCE = 2

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
GPU_BYTES = 1 << 30

Provider = str | tuple[str, Mapping[str, Any]]

# The windows that a network hears, [windows, 1, samples] → their classes, [windows, frames, classes].
Segmenter = Any


@dataclass(frozen=True, slots=True)
class VoiceAnalyser:
    """`segmenter` and the network in `encoder` run on one thread each; one call at a time."""

    segmenter: Segmenter
    encoder: VoiceEncoder

    def analyse(self, audio: Floats, start: int) -> StretchVoices:
        """`audio`: 16 kHz mono in [-1, 1]. `start`: the sample of the file at which it starts."""
        activity = self._activity(audio)
        spans = speech_spans(activity, len(audio) / SAMPLE_RATE)
        parts = np.array([part for span in spans for part in _parts(*span)]).reshape(-1, 2)
        vectors = self.encoder.vectors([_cut(audio, first, last) for first, last in parts.tolist()])
        return StretchVoices(
            start=start,
            activity=activity,
            spans=np.array(spans).reshape(-1, 2),
            parts=parts,
            vectors=vectors,
            solid=_solid(parts, vectors, activity),
        )

    def _activity(self, audio: Floats) -> Activity:
        starts = window_starts(len(audio) / SAMPLE_RATE)
        windows = np.zeros((len(starts), 1, round(WINDOW_S * SAMPLE_RATE)), np.float32)
        for window, start in zip(windows, starts, strict=True):
            heard = audio[round(start * SAMPLE_RATE) :][: windows.shape[2]]
            window[0, : len(heard)] = heard
        batches = (windows[first : first + WINDOWS_AT_ONCE] for first in range(0, len(starts), WINDOWS_AT_ONCE))
        return np.concatenate([decode(self.segmenter.run(None, {"wave": batch})[0]) for batch in batches])


def _parts(start: float, end: float) -> Iterator[tuple[float, float]]:
    """Parts of `PART_S`, spread evenly over a span; a short span is one part."""
    steps = int(np.ceil((end - start - PART_S) / PART_STEP_S))
    if steps <= 0:
        yield start, end
        return
    for number in range(steps + 1):
        at = start + (end - start - PART_S) * number / steps
        yield at, at + PART_S


def _cut(audio: Floats, start: float, end: float) -> Floats:
    first = int(start * SAMPLE_RATE)
    return audio[first : max(first + FRAME, int(end * SAMPLE_RATE))]


def _solid(parts: NDArray[np.float64], vectors: Floats, activity: Activity) -> NDArray[np.bool_]:
    if not len(parts):
        return np.zeros(0, np.bool_)
    overlapping = parts[1:, 0] < parts[:-1, 1] - 0.01
    alike = np.where(overlapping, (vectors[1:] * vectors[:-1]).sum(axis=1), 1.0)
    worst = np.minimum(np.append(1.0, alike), np.append(alike, 1.0))
    alone = np.array([_alone(start, end, activity) for start, end in parts.tolist()], np.bool_)
    solid: NDArray[np.bool_] = (parts[:, 1] - parts[:, 0] >= SOLID_S) & (worst >= SOLID_COSINE) & alone
    return solid


def _alone(start: float, end: float, activity: Activity) -> bool:
    """Whether one local voice speaks, as the window hears it whose middle is nearest."""
    nearest = round(((start + end) / 2 - WINDOW_S / 2) / HOP_S)
    number = min(max(nearest, 0), len(activity) - 1)
    first, last = frame_range(start - number * HOP_S, end - number * HOP_S)
    spoken = activity[number, first:last].sum(axis=0)
    return bool(spoken.max() >= SOLID_ALONE * max(int(spoken.sum()), 1))


def open_analyser(gpu: int | None = None) -> VoiceAnalyser:
    """Load the networks that come with the package. Takes 0.3 s and about 150 MB.

    `gpu`: the index of the one to use, if onnxruntime can; None: none.
    """
    models = files("scrivano.speakers") / "models"
    voices = _session((models / "campplus.onnx").read_bytes(), gpu)
    with as_file(models / "voice_space.npz") as path:
        space = VoiceSpace.load(path)
    encoder = VoiceEncoder(lambda features: voices.run(None, {"feats": features})[0], space)
    return VoiceAnalyser(_session((models / "segmentation.onnx").read_bytes(), gpu), encoder)


def providers(gpu: int | None, available: Sequence[str]) -> list[Provider]:
    """What to run a network on: the GPU if this onnxruntime is built for it (`onnxruntime-gpu`), else the CPU."""
    if gpu is None or CUDA not in available:
        return [CPU]
    # The memory belongs to the engine: no more is taken than is needed.
    limits = {"device_id": gpu, "gpu_mem_limit": GPU_BYTES, "arena_extend_strategy": "kSameAsRequested"}
    return [(CUDA, limits), CPU]


def _session(model: bytes, gpu: int | None) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    # An arena keeps its largest block for good.
    options.enable_cpu_mem_arena = False
    options.log_severity_level = 3
    chosen = providers(gpu, onnxruntime.get_available_providers())
    try:
        return onnxruntime.InferenceSession(model, providers=chosen, sess_options=options)
    except Exception:  # whatever the provider lacks: a library, memory, the GPU itself
        if chosen == [CPU]:
            raise
        logger.warning("the voices are found on the CPU: the GPU cannot be used", exc_info=True)
        return onnxruntime.InferenceSession(model, providers=[CPU], sess_options=options)
