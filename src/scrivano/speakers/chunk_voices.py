"""What is kept of the voices in a chunk: all that naming the speakers needs, and none of the audio."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scrivano.domain.chunk import SAMPLE_RATE
from scrivano.speakers.embedding import SIZE, unit
from scrivano.speakers.segmentation import FRAMES, LOCAL_VOICES, Activity

__all__ = ["StretchVoices", "dump", "load"]

# The networks, the voice space and the rules by which vectors are made. Vectors of different ones cannot be compared.
MODEL = "campplus-segmentation3-1"


@dataclass(frozen=True, slots=True, kw_only=True)
class StretchVoices:
    """The voices of a stretch of audio. Seconds count from its first sample.

    - `start`: sample of the file at which the stretch starts
    - `activity`: which local voices speak when, see `segmentation.Activity`
    - `spans`: [spans, 2], speech, in which no change of the voice was found
    - `parts`: [parts, 2], the stretches of spans that have a vector; in order, and none crosses the end of a span
    - `vectors`: [parts, 192], unit vectors
    - `solid`: [parts], whether the vector may shape a speaker: long enough, one voice, alike to its neighbours
    """

    start: int
    activity: Activity
    spans: NDArray[np.float64]
    parts: NDArray[np.float64]
    vectors: NDArray[np.float32]
    solid: NDArray[np.bool_]

    @property
    def start_s(self) -> float:
        return self.start / SAMPLE_RATE

    @property
    def lengths(self) -> NDArray[np.float64]:
        """Seconds of each part."""
        return self.parts[:, 1] - self.parts[:, 0]

    @property
    def speech_s(self) -> float:
        return float((self.spans[:, 1] - self.spans[:, 0]).sum())


def dump(stretches: Sequence[StretchVoices]) -> bytes:
    """The voices of a chunk; about 0.4 kB for each second. Vectors are kept with 16 bits, spans to the microsecond."""
    stored = io.BytesIO()
    np.savez_compressed(
        stored,
        model=np.frombuffer(MODEL.encode(), np.uint8),
        counts=np.array([(one.start, len(one.activity), len(one.spans), len(one.parts)) for one in stretches], "<i8"),
        activity=np.packbits(_joined([one.activity for one in stretches], (FRAMES, LOCAL_VOICES), np.bool_)),
        spans=_joined([one.spans for one in stretches], (2,), np.float64),
        parts=_joined([one.parts for one in stretches], (2,), np.float64),
        vectors=_joined([one.vectors for one in stretches], (SIZE,), np.float16),
        solid=_joined([one.solid for one in stretches], (), np.bool_),
    )
    return stored.getvalue()


def load(data: bytes) -> list[StretchVoices]:
    """Raises `ValueError` for anything that `dump` of this version has not written."""
    try:
        with np.load(io.BytesIO(data)) as stored:
            model = bytes(stored["model"])
            stretches = list(_stretches(stored)) if model == MODEL.encode() else []
    except (KeyError, EOFError, OSError, ValueError, zipfile.BadZipFile) as error:
        raise ValueError(f"these are no stored voices: {error}") from error
    if model != MODEL.encode():
        raise ValueError("these voices were found by another version")
    return stretches


def _stretches(stored: Mapping[str, NDArray[Any]]) -> Iterator[StretchVoices]:
    counts = stored["counts"].reshape(-1, 4)
    bits = np.unpackbits(stored["activity"], count=int(counts[:, 1].sum()) * FRAMES * LOCAL_VOICES)
    activity = bits.reshape(-1, FRAMES, LOCAL_VOICES).astype(np.bool_)
    vectors = unit(stored["vectors"].astype(np.float32)).astype(np.float32)
    spans, parts, solid = stored["spans"], stored["parts"], stored["solid"]
    window = span = part = 0
    for start, windows, span_count, part_count in counts.tolist():
        yield StretchVoices(
            start=start,
            activity=activity[window : window + windows],
            spans=spans[span : span + span_count],
            parts=parts[part : part + part_count],
            vectors=vectors[part : part + part_count],
            solid=solid[part : part + part_count],
        )
        window, span, part = window + windows, span + span_count, part + part_count


def _joined(arrays: Sequence[NDArray[Any]], shape: tuple[int, ...], kind: Any) -> NDArray[Any]:
    return np.concatenate([np.zeros((0, *shape), kind), *arrays]).astype(kind)
