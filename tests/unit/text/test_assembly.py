"""A job's transcript out of its chunks."""

from __future__ import annotations

import json
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from scrivano.domain.chunk import SAMPLE_RATE, Chunk, Piece
from scrivano.domain.transcript import Segment, Word
from scrivano.text.assembly import chunk_segments, join_chunks, segment_json, segments_json, spoken_most
from scrivano.text.cleanup import clean

SAID = st.tuples(
    st.floats(0, 12), st.floats(0, 4), st.lists(st.sampled_from([" so", " so", " it", " goes"]), max_size=8)
)


def segment(start: float, seconds: float, texts: list[str]) -> Segment:
    step = seconds / max(1, len(texts))
    words = tuple(
        Word(text=text, start=start + n * step, end=start + (n + 1) * step, probability=0.5)
        for n, text in enumerate(texts)
    )
    return Segment(start=start, end=start + seconds, text="".join(texts), words=words)


@given(st.lists(SAID, max_size=6), st.floats(0, 100))
def test_the_text_of_the_only_chunk_with_speech_needs_no_second_cleaning(
    said: list[tuple[float, float, list[str]]], more_s: float
) -> None:
    chunk = Chunk(0, (Piece(SAMPLE_RATE, 5 * SAMPLE_RATE), Piece(8 * SAMPLE_RATE, 14 * SAMPLE_RATE)))
    text = chunk_segments(chunk, [segment(*one) for one in said])

    assert join_chunks([(), text, ()], chunk.end + more_s) == text == clean(text, chunk.end + more_s)


def test_a_sentence_that_two_chunks_have_is_in_the_transcript_once() -> None:
    first = (segment(0, 4, ["We", " start"]), segment(4, 1, ["Then", " we"]))
    second = (segment(5, 2, ["Then", " we", " stop."]),)

    assert [one.text for one in join_chunks([first, second], 10.0)] == ["We start", "Then we stop."]


def test_a_segment_is_shown_rounded_and_numbered() -> None:
    shown = segment_json(7, segment(1.00049, 1 / 3, ["Yes."]))

    assert (shown["index"], shown["start"], shown["end"], shown["words"][0]["end"]) == (7, 1.0, 1.334, 1.334)
    assert "language" not in shown
    assert [one["index"] for one in json.loads(segments_json([segment(0, 1, ["a"]), segment(1, 1, ["b"])]))] == [0, 1]


def test_the_language_of_a_job_is_the_one_spoken_longest() -> None:
    def said(language: str | None, start: float, seconds: float) -> Segment:
        return replace(segment(start, seconds, ["a"]), language=language)

    assert spoken_most([said("en", 0, 3), said("it", 3, 5), said("en", 9, 1)]) == "it"
    assert spoken_most([said(None, 0, 3)]) is None
