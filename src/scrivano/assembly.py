"""Chunk results → the transcript of a whole job, as it is stored and served. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from scrivano.chunking import to_file_time
from scrivano.jobs import Chunk
from scrivano.postprocess import clean
from scrivano.transcript import Segment, language_of, segment_from_dict


def assemble(results: Iterable[tuple[Chunk, Mapping[str, Any]]], duration: float) -> tuple[Segment, ...]:
    """Clean segments on the file's clock. `results`: each chunk, in order, with what the engine said of it."""
    segments = [
        segment
        for chunk, result in results
        for segment in to_file_time(chunk, [segment_from_dict(data) for data in result["segments"]])
    ]
    return clean(segments, duration)


def known_segments(chunk: Chunk, result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What one chunk says, as a Job shows segments, before the whole transcript is cleaned; `index` is within it."""
    return [served(index, segment) for index, segment in enumerate(assemble([(chunk, result)], chunk.end))]


def served_json(segments: Iterable[Segment]) -> bytes:
    """The `segments` array of a Job: times in seconds to the millisecond, probabilities to four digits."""
    array = [served(index, segment) for index, segment in enumerate(segments)]
    return json.dumps(array, ensure_ascii=False, separators=(",", ":")).encode()


def served(index: int, segment: Segment) -> dict[str, Any]:
    """One of a Job's segments, as JSON values."""
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


def main_language(segments: Iterable[Segment]) -> str | None:
    """The one that is spoken longest; None where segments tell none."""
    seconds: dict[str, float] = {}
    for segment in segments:
        if segment.language:
            seconds[segment.language] = seconds.get(segment.language, 0.0) + segment.end - segment.start
    return max(seconds, key=seconds.__getitem__, default=None)
