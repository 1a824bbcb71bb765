"""A chunk's times on the file's clock: in order, inside the chunk, and no word lost."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from scrivano.domain.chunk import SAMPLE_RATE, Chunk, Piece
from scrivano.domain.transcript import Segment, Word
from scrivano.text.file_time import to_file_time

SECOND = SAMPLE_RATE
# 0 to 4 s of the chunk are 10 to 14 s of the file; 4 to 9 s are 100 to 105 s.
CHUNK = Chunk(0, (Piece(10 * SECOND, 14 * SECOND), Piece(100 * SECOND, 105 * SECOND)))


def word(text: str, start: float, end: float) -> Word:
    return Word(text=text, start=start, end=end, probability=0.9)


def segment(*words: Word, start: float | None = None, end: float | None = None) -> Segment:
    return Segment(
        start=words[0].start if start is None else start,
        end=words[-1].end if end is None else end,
        text="".join(word.text for word in words),
        words=words,
        tokens=(1, 2, 3),
    )


def times(segments: list[Segment]) -> list[tuple[float, float]]:
    return [(segment.start, segment.end) for segment in segments]


def test_a_segment_within_a_piece_is_shifted() -> None:
    (mapped,) = to_file_time(CHUNK, [segment(word("one", 5, 5.5), word(" two", 5.5, 6), end=6.25)])

    assert (mapped.start, mapped.end) == (101, 102.25)
    assert times_of_words(mapped) == [(101, 101.5), (101.5, 102)]
    assert mapped.tokens == (1, 2, 3)


def times_of_words(segment: Segment) -> list[tuple[float, float]]:
    return [(word.start, word.end) for word in segment.words]


def test_a_segment_over_a_removed_pause_is_split_there() -> None:
    before, after = to_file_time(CHUNK, [segment(word("one", 1, 2), word(" two", 2, 3), word(" three", 5, 6))])

    assert (before.start, before.end, before.text) == (11, 13, "one two")
    assert (after.start, after.end, after.text) == (101, 102, "three")
    assert after.words[0].text == "three"
    assert before.tokens == after.tokens == ()


def test_a_word_over_a_joint_stays_where_most_of_it_is() -> None:
    early, late = segment(word("one", 3, 4.4)), segment(word("two", 3.8, 6))

    assert times(to_file_time(CHUNK, [early])) == [(13, 14)]
    assert times(to_file_time(CHUNK, [late])) == [(100, 102)]


def test_a_segment_without_words_does_not_reach_just_over_a_joint() -> None:
    assert times(to_file_time(CHUNK, [Segment(start=1, end=4.2, text="a")])) == [(11, 14)]
    assert times(to_file_time(CHUNK, [Segment(start=3.8, end=6, text="a")])) == [(100, 102)]
    assert times(to_file_time(CHUNK, [Segment(start=1, end=4, text="a")])) == [(11, 14)]
    assert times(to_file_time(CHUNK, [Segment(start=4, end=6, text="a")])) == [(100, 102)]


def test_a_segment_without_words_may_span_a_pause() -> None:
    assert times(to_file_time(CHUNK, [Segment(start=1, end=6, text="a b")])) == [(11, 102)]


def test_times_outside_the_chunk_are_clamped() -> None:
    assert times(to_file_time(CHUNK, [segment(word("a", -1, 1)), segment(word("b", 8, 30))])) == [(10, 11), (104, 105)]


def test_the_first_word_of_a_segment_has_no_space() -> None:
    (mapped,) = to_file_time(CHUNK, [segment(word(" one", 1, 2), word(" two", 2, 3))])

    assert mapped.text == "one two"
    assert mapped.words[0].text == "one"


@st.composite
def chunk_and_segments(draw: st.DrawFn) -> tuple[Chunk, list[Segment]]:
    lengths = draw(st.lists(st.integers(SECOND, 6 * SECOND), min_size=1, max_size=5))
    pauses = draw(st.lists(st.integers(1, 100 * SECOND), min_size=len(lengths), max_size=len(lengths)))
    pieces, at = [], 0
    for pause, length in zip(pauses, lengths, strict=True):
        pieces.append(Piece(at + pause, at + pause + length))
        at += pause + length
    marks = draw(st.lists(st.floats(-1, 32, width=32), max_size=40))
    if draw(st.booleans()):
        marks.sort()
    words = [word(f" {letter}", start, max(start, end)) for letter, (start, end) in enumerate(pairwise(marks))]
    size = draw(st.integers(1, 8))
    groups = [words[start : start + size] for start in range(0, len(words), size)]
    made = [segment(*group) for group in groups]
    if draw(st.booleans()):
        made = [Segment(start=one.start, end=one.end, text=one.text) for one in made]
    return Chunk(0, tuple(pieces)), made


@given(chunk_and_segments())
@settings(max_examples=200)
def test_mapped_times_ascend_within_the_chunk(drawn: tuple[Chunk, list[Segment]]) -> None:
    chunk, segments = drawn

    mapped = to_file_time(chunk, segments)

    edges = [time for one in mapped for time in (one.start, one.end)]
    assert edges == sorted(edges)
    assert all(chunk.start <= edge <= chunk.end for edge in edges)
    for one in mapped:
        inner = [one.start, *(time for span in times_of_words(one) for time in span), one.end]
        assert inner == sorted(inner)


@given(chunk_and_segments())
@settings(max_examples=200)
def test_mapped_text_is_complete_and_matches_the_words(drawn: tuple[Chunk, list[Segment]]) -> None:
    chunk, segments = drawn

    mapped = to_file_time(chunk, segments)

    assert " ".join(one.text.strip() for one in mapped) == " ".join(one.text.strip() for one in segments)
    for one in mapped:
        if one.words:
            assert "".join(word.text for word in one.words) == one.text
            assert not one.text.startswith(" ")


@given(chunk_and_segments())
def test_a_mapped_word_lies_in_one_piece_when_the_times_were_in_order(drawn: tuple[Chunk, list[Segment]]) -> None:
    chunk, segments = drawn
    marks = [time for one in segments for time in (one.start, one.end)]
    assume(marks == sorted(marks))
    for one in to_file_time(chunk, segments):
        for start, end in times_of_words(one):
            assert any(piece.start / SAMPLE_RATE <= start and end <= piece.end / SAMPLE_RATE for piece in chunk.pieces)


def test_a_first_word_just_before_a_joint_stays_with_its_sentence() -> None:
    chunk = Chunk(0, (Piece(0, 3 * SAMPLE_RATE), Piece(10 * SAMPLE_RATE, 14 * SAMPLE_RATE)))
    words = (
        Word(text="Can", start=2.9, end=2.95, probability=0.9),
        Word(text=" you", start=3.5, end=3.8, probability=0.9),
        Word(text=" sign?", start=3.8, end=4.4, probability=0.9),
    )
    [whole] = to_file_time(chunk, [Segment(start=2.9, end=4.4, text="Can you sign?", words=words)])

    assert (whole.text, whole.start) == ("Can you sign?", 10.0)


def test_a_last_word_just_after_a_joint_stays_with_its_sentence() -> None:
    chunk = Chunk(0, (Piece(0, 3 * SAMPLE_RATE), Piece(10 * SAMPLE_RATE, 14 * SAMPLE_RATE)))
    words = (
        Word(text="Sign", start=1.0, end=1.5, probability=0.9),
        Word(text=" it.", start=3.1, end=3.3, probability=0.9),
    )
    [whole] = to_file_time(chunk, [Segment(start=1.0, end=3.3, text="Sign it.", words=words)])

    assert (whole.text, whole.end) == ("Sign it.", 3.0)


def test_a_first_word_without_length_does_not_stay_before_a_removed_pause() -> None:
    chunk = Chunk(0, (Piece(0, 3 * SAMPLE_RATE), Piece(10 * SAMPLE_RATE, 14 * SAMPLE_RATE)))
    [whole] = to_file_time(chunk, [segment(word("Can", 2.0, 2.0), word(" you", 3.5, 3.8), word(" sign?", 3.8, 4.4))])

    assert (whole.text, whole.start) == ("Can you sign?", 10.0)
    assert (whole.words[0].start, whole.words[0].end) == (10.0, 10.0)


def test_a_last_word_without_length_does_not_lie_after_a_removed_pause() -> None:
    chunk = Chunk(0, (Piece(0, 3 * SAMPLE_RATE), Piece(10 * SAMPLE_RATE, 14 * SAMPLE_RATE)))
    [whole] = to_file_time(chunk, [segment(word("Sign", 1.0, 1.5), word(" it.", 4.0, 4.0))])

    assert (whole.text, whole.end) == ("Sign it.", 3.0)
