"""Chunk results → the transcript of a job, as it is stored and served. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from scrivano.domain.chunk import Chunk
from scrivano.domain.transcript import Segment, language_of
from scrivano.text.cleanup import clean
from scrivano.text.file_time import to_file_time

__all__ = ["chunk_segments", "join_chunks", "segment_json", "segments_json", "spoken_most"]


def chunk_segments(chunk: Chunk, segments: Iterable[Segment]) -> tuple[Segment, ...]:
    """The clean text of one chunk in file time. `segments`: its result, with times from its first sample."""
    return clean(to_file_time(chunk, segments), chunk.end)


def join_chunks(texts: Sequence[tuple[Segment, ...]], duration: float) -> tuple[Segment, ...]:
    """The transcript of a job from the clean text of its chunks, in order. `duration`: seconds of the file.

    Cleaning again handles text that crosses a border between chunks: a sentence in two of them, a loop over several.
    """
    spoken = [text for text in texts if text]
    if len(spoken) < 2:
        return spoken[0] if spoken else ()
    return clean((segment for text in spoken for segment in text), duration)


def segment_json(index: int, segment: Segment) -> dict[str, Any]:
    """A segment as a Job shows it: times to the millisecond, probabilities to four digits."""
    return {
        "index": index,
        "start": round(segment.start, 3),
        "end": round(segment.end, 3),
        "text": segment.text,
        "words": [
            {
                "text": word.text,
                "start": round(word.start, 3),
                "end": round(word.end, 3),
                "probability": round(word.probability, 4),
            }
            for word in segment.words
        ],
        "avg_logprob": round(segment.avg_logprob, 4),
        "no_speech_prob": round(segment.no_speech_prob, 4),
        "compression_ratio": round(segment.compression_ratio, 4),
        "temperature": segment.temperature,
        "tokens": list(segment.tokens),
        **language_of(segment),
    }


def segments_json(segments: Iterable[Segment]) -> bytes:
    """The `segments` array of a Job."""
    shown = [segment_json(index, segment) for index, segment in enumerate(segments)]
    return json.dumps(shown, ensure_ascii=False, separators=(",", ":")).encode()


def spoken_most(segments: Iterable[Segment]) -> str | None:
    """The language with the most seconds; None if the segments name none."""
    seconds: dict[str, float] = {}
    for segment in segments:
        if segment.language:
            seconds[segment.language] = seconds.get(segment.language, 0.0) + segment.end - segment.start
    return max(seconds, key=seconds.__getitem__, default=None)
