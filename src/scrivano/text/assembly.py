"""Chunk results → the transcript of a job, as it is stored and served. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from scrivano.domain.chunk import Chunk
from scrivano.domain.coverage import Hole, Span, holes_among, uncovered, words_of
from scrivano.domain.quality import doubts_about, job_quality, segment_quality
from scrivano.domain.speakers import speaker_of_side
from scrivano.domain.transcript import Segment, language_of, speaker_of
from scrivano.text.cleanup import Cleaned, clean
from scrivano.text.exchange import interleaved
from scrivano.text.file_time import spans_in_file, to_file_time
from scrivano.text.inventions import drop_inventions

__all__ = [
    "ChunkText",
    "chunk_text",
    "join_sides",
    "quality",
    "said_by_merged",
    "segment_json",
    "segments_json",
    "spoken_most",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkText:
    """The clean text of a chunk in file time, and what is known of its quality.

    `bare`: the parts of its speech that no word reaches. `repaired`: speech that had no words at first.
    """

    segments: tuple[Segment, ...]
    bare: tuple[Span, ...] = ()
    repaired: tuple[Span, ...] = ()
    loops_cut: int = 0


def chunk_text(chunk: Chunk, segments: Iterable[Segment], repaired: Iterable[Span] = ()) -> ChunkText:
    """`segments` and `repaired`: the result of a chunk, with times from its first sample."""
    speech = None if chunk.speech is None else chunk.speech_spans
    timed = drop_inventions(to_file_time(chunk, segments), speech)
    cleaned, loops_cut = clean(timed, chunk.end, speech)
    if chunk.side is not None:
        cleaned = tuple(_said_by(segment, speaker_of_side(chunk.side)) for segment in cleaned)
    again = spans_in_file(chunk, repaired)
    judged = tuple(
        replace(
            one,
            doubts=doubts_about(one, speech),
            repaired=any(span.start < one.end and one.start < span.end for span in again),
        )
        for one in cleaned
    )
    bare = tuple(uncovered(chunk.speech_spans, words_of(judged)))
    return ChunkText(segments=judged, bare=bare, repaired=again, loops_cut=loops_cut)


def _said_by(segment: Segment, speaker: str) -> Segment:
    return replace(segment, speaker=speaker, words=tuple(replace(word, speaker=speaker) for word in segment.words))


def said_by_merged(segments: Sequence[Segment], merges: Mapping[str, str]) -> tuple[Segment, ...]:
    """The segments, in which some speakers have become others."""
    return tuple(_said_by(one, merges.get(one.speaker, one.speaker)) if one.speaker else one for one in segments)


def join_sides(texts: Sequence[tuple[Chunk, tuple[Segment, ...]]], duration: float) -> Cleaned:
    """The transcript of a job from its chunks, in order, and their text. What several sides say at once is kept.

    `duration`: seconds of the file.
    """
    sides = [
        _join_chunks([(chunk, text) for chunk, text in texts if (chunk.side or 0) == side], duration)
        for side in sorted({chunk.side or 0 for chunk, _ in texts})
    ]
    segments = interleaved([side.segments for side in sides]) if len(sides) > 1 else sides[0].segments if sides else ()
    return Cleaned(segments, sum(side.loops_cut for side in sides))


def _join_chunks(texts: Sequence[tuple[Chunk, tuple[Segment, ...]]], duration: float) -> Cleaned:
    """The transcript of a side. Cleaning again handles text that crosses a border between chunks: a sentence in two of
    them, a loop over several."""
    spoken = [(chunk, text) for chunk, text in texts if text]
    if len(spoken) < 2:
        return Cleaned(spoken[0][1] if spoken else ())
    speech = [span for chunk, _ in spoken for span in chunk.speech_spans]
    known = all(chunk.speech is not None for chunk, _ in spoken)
    return clean((segment for _, text in spoken for segment in text), duration, speech if known else None)


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
                **speaker_of(word),
            }
            for word in segment.words
        ],
        "avg_logprob": round(segment.avg_logprob, 4),
        "no_speech_prob": round(segment.no_speech_prob, 4),
        "compression_ratio": round(segment.compression_ratio, 4),
        "temperature": segment.temperature,
        "tokens": list(segment.tokens),
        "quality": segment_quality(segment),
        **language_of(segment),
        **speaker_of(segment),
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


def quality(
    segments: Sequence[Segment], chunks: Sequence[tuple[Chunk, ChunkText]], loops_cut: int = 0
) -> dict[str, Any]:
    """The field `quality` of a job. `segments`: its transcript, joined from the text of the `chunks`; `loops_cut`: how
    many loops over several chunks were cut then."""
    sides = sorted({chunk.side or 0 for chunk, _ in chunks})
    holes = [
        hole
        for side in sides
        for hole in _holes(
            segments if len(sides) == 1 else [one for one in segments if one.speaker == speaker_of_side(side)],
            [(chunk, text) for chunk, text in chunks if (chunk.side or 0) == side],
        )
    ]
    return job_quality(
        segments,
        [span for chunk, _ in chunks for span in chunk.speech_spans],
        sorted(holes, key=lambda hole: hole.start),
        repaired=sum(len(text.repaired) for _, text in chunks),
        loops_cut=loops_cut + sum(text.loops_cut for _, text in chunks),
    )


def _holes(segments: Sequence[Segment], chunks: Sequence[tuple[Chunk, ChunkText]]) -> list[Hole]:
    """Speech without words on one side."""
    words = words_of(segments)
    bare = [span for _, text in chunks for span in text.bare]
    if len(words) != sum(len(words_of(text.segments)) for _, text in chunks):  # a loop over chunks was cut
        bare = uncovered([span for chunk, _ in chunks for span in chunk.speech_spans], words)
    return holes_among(bare, words)
