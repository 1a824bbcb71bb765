"""Chunk results → the transcript of a whole job, as it is stored and served. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from scrivano.domain.chunk import Chunk
from scrivano.domain.transcript import Segment, language_of, segment_from_dict
from scrivano.text.cleanup import clean
from scrivano.text.file_time import to_file_time


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
    return job_segments(assemble([(chunk, result)], chunk.end))


def job_segments(segments: Iterable[Segment]) -> list[dict[str, Any]]:
    """The `segments` array of a Job: JSON values, with times to the millisecond and probabilities to four digits."""
    return [_served(index, segment) for index, segment in enumerate(segments)]


def json_of(segments: Sequence[Mapping[str, Any]]) -> bytes:
    return json.dumps(segments, ensure_ascii=False, separators=(",", ":")).encode()


def _served(index: int, segment: Segment) -> dict[str, Any]:
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


def main_language(segments: Iterable[Mapping[str, Any]]) -> str | None:
    """The one that is spoken longest in a Job; None where they tell none."""
    seconds: dict[str, float] = {}
    for segment in segments:
        if language := segment.get("language"):
            seconds[language] = seconds.get(language, 0.0) + segment["end"] - segment["start"]
    return max(seconds, key=seconds.__getitem__, default=None)
