"""A job's transcript out of its chunks."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from scrivano.domain.chunk import SAMPLE_RATE, Chunk, Piece
from scrivano.domain.coverage import Span
from scrivano.domain.transcript import Segment, Word
from scrivano.text.assembly import chunk_text, join_sides, quality, segment_json, segments_json, spoken_most
from scrivano.text.cleanup import clean

SAID = st.tuples(
    st.floats(0, 12), st.floats(0, 4), st.lists(st.sampled_from([" so", " so", " it", " goes"]), max_size=8)
)


def segment(start: float, seconds: float, texts: list[str]) -> Segment:
    step = seconds / max(1, len(texts))
    words = tuple(
        Word(text=text, start=start + n * step, end=start + (n + 1) * step, probability=0.75)
        for n, text in enumerate(texts)
    )
    return Segment(start=start, end=start + seconds, text="".join(texts), words=words)


@given(st.lists(SAID, max_size=6), st.floats(0, 100))
def test_the_text_of_the_only_chunk_with_speech_needs_no_second_cleaning(
    said: list[tuple[float, float, list[str]]], more_s: float
) -> None:
    chunk = Chunk(0, (Piece(SAMPLE_RATE, 5 * SAMPLE_RATE), Piece(8 * SAMPLE_RATE, 14 * SAMPLE_RATE)))
    text = chunk_text(chunk, [segment(*one) for one in said]).segments

    joined = join_sides([(chunk, ()), (chunk, text), (chunk, ())], chunk.end + more_s)
    assert joined == (text, 0) == clean(text, chunk.end + more_s)


def test_a_sentence_that_two_chunks_have_is_in_the_transcript_once() -> None:
    first = (segment(0, 4, ["We", " start"]), segment(4, 1, ["Then", " we"]))
    second = (segment(5, 2, ["Then", " we", " stop."]),)

    segments, loops_cut = join_sides([(CHUNK, first), (replace(CHUNK, index=1), second)], 10.0)

    assert ([one.text for one in segments], loops_cut) == (["We start", "Then we stop."], 0)


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


# Quality

SPEECH = (Piece(SAMPLE_RATE, 5 * SAMPLE_RATE), Piece(8 * SAMPLE_RATE, 14 * SAMPLE_RATE))
CHUNK = Chunk(0, SPEECH, speech=SPEECH)


def test_speech_without_words_is_reported_in_the_time_of_the_file() -> None:
    text = chunk_text(CHUNK, [segment(0, 4, ["One", " two", " three", " four."])])

    found = quality(text.segments, [(CHUNK, text)])

    assert found["uncovered"] == [{"start": 8.0, "end": 14.0}]
    assert found["coverage"] == 0.4
    assert found["word_probability"] == 0.75
    assert (found["repaired"], found["loops_cut"], found["doubtful"]) == (0, 0, [])


def test_what_is_said_twice_over_two_chunks_counts_once() -> None:
    """The transcript lacks words that the chunks have: coverage is that of the transcript."""
    first, second = (
        Chunk(n, (Piece(n * 80_000, (n + 1) * 80_000),), (Piece(n * 80_000, (n + 1) * 80_000),)) for n in (0, 1)
    )
    texts = [chunk_text(one, [segment(0, 5, ["a", " b", " c", " d", " e"])]) for one in (first, second)]

    found = quality(texts[0].segments, list(zip((first, second), texts, strict=True)))

    assert found["uncovered"] == [{"start": 5.3, "end": 10.0}]


def test_a_repair_marks_its_segment_and_is_counted() -> None:
    text = chunk_text(CHUNK, [segment(0, 3, ["One", " two."]), segment(4, 5, ["Three", " four."])], [Span(4.5, 8.0)])

    assert [one.repaired for one in text.segments] == [False, True]
    assert text.repaired == (Span(8.5, 12.0),)
    assert quality(text.segments, [(CHUNK, text)])["repaired"] == 1
    assert segment_json(0, text.segments[1])["quality"] == {"word_probability": 0.75, "doubtful": [], "repaired": True}


def test_loops_are_counted_before_they_are_cut() -> None:
    loop = replace(segment(0, 4, [" thank", " you"] * 12), compression_ratio=6.0)

    text = chunk_text(CHUNK, [loop])

    assert text.loops_cut == 1
    assert [list(one.doubts) for one in text.segments] == [["repeats"]]


def seven_messages(every: float, **fields: Any) -> list[tuple[Chunk, tuple[Segment, ...]]]:
    """One message a chunk, as decoded."""
    message = replace(segment(0.5, 2.5, ["Please", " hold", " the", " line."]), **fields)
    pieces = [Piece(round(n * every * SAMPLE_RATE), round((n * every + 3) * SAMPLE_RATE)) for n in range(7)]
    return [(Chunk(n, (piece,), (piece,)), (message,)) for n, piece in enumerate(pieces)]


def test_a_message_that_comes_again_in_chunk_after_chunk_stays() -> None:
    """No chunk is decoded after the text of the one before it, so a model cannot carry a loop on."""
    texts = [(chunk, chunk_text(chunk, said)) for chunk, said in seven_messages(30.0)]

    segments, loops_cut = join_sides([(chunk, text.segments) for chunk, text in texts], 210.0)

    assert (len(segments), loops_cut) == (7, 0)
    assert [list(one.doubts) for one in segments] == [[]] * 7


def test_a_loop_over_chunks_of_which_the_model_was_unsure_is_cut_and_counted() -> None:
    texts = [(chunk, chunk_text(chunk, said)) for chunk, said in seven_messages(30.0, avg_logprob=-1.3)]

    segments, loops_cut = join_sides([(chunk, text.segments) for chunk, text in texts], 210.0)

    assert (len(segments), loops_cut) == (1, 1)
    assert quality(segments, texts, loops_cut)["loops_cut"] == 1


@given(st.lists(SAID, max_size=6), st.lists(st.booleans(), min_size=40, max_size=40))
def test_no_speech_is_dropped_without_a_report(said: list[tuple[float, float, list[str]]], spoken: list[bool]) -> None:
    """Each second of speech has a word within reach, or is in `uncovered`, or in a gap of less than a second."""
    speech = tuple(
        Piece(piece.start + n * 4000, piece.start + (n + 1) * 4000)
        for piece in SPEECH
        for n in range((piece.end - piece.start) // 4000)
        if spoken[(piece.start // 4000 + n) % 40]
    )
    chunk = Chunk(0, SPEECH, speech)
    text = chunk_text(chunk, [segment(*one) for one in said])
    words = [word for one in text.segments for word in one.words]

    reported = quality(text.segments, [(chunk, text)])["uncovered"]

    for piece in chunk.speech_spans:
        moment = piece.middle
        near = any(word.start - 0.31 <= moment <= word.end + 0.31 for word in words)
        told = any(hole["start"] <= moment <= hole["end"] for hole in reported)
        bare = [span for span in text.bare if span.start <= moment < span.end]
        assert near or told or bare
        if bare and not told:
            assert bare[0].seconds < 1.0
