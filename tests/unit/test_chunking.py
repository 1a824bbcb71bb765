"""Chunks hold all speech, are cut in silence and come out the same in any blocks; times map back in order."""

from __future__ import annotations

from itertools import accumulate, pairwise

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from scrivano.chunking import WINDOW, Chunker, ChunkingOptions, Span, SpanFinder, to_file_time
from scrivano.jobs import SAMPLE_RATE, Chunk, Piece
from scrivano.transcript import Segment, Word

SECOND = SAMPLE_RATE
SHORT = ChunkingOptions(max_chunk_secs=5.0)
PAD = SAMPLE_RATE // 2


def windows(seconds: float) -> int:
    return round(seconds * SAMPLE_RATE / WINDOW)


def speech(seconds: float) -> list[float]:
    return [0.9] * windows(seconds)


def silence(seconds: float) -> list[float]:
    return [0.01] * windows(seconds)


def chunks_of(probabilities: list[float], options: ChunkingOptions | None = None) -> list[Chunk]:
    chunker = Chunker(options)
    return [*chunker.feed(probabilities), *chunker.finish(len(probabilities) * WINDOW)]


def spans_of(probabilities: list[float], options: ChunkingOptions | None = None) -> list[Span]:
    """Spans before anything is cut."""
    finder = SpanFinder(options or ChunkingOptions())
    found = [finder.push(probability) for probability in probabilities]
    return [span for span in [*found, finder.finish(len(probabilities) * WINDOW)] if span]


def pieces_of(chunks: list[Chunk]) -> list[Piece]:
    return [piece for chunk in chunks for piece in chunk.pieces]


RUNS = st.lists(
    st.tuples(st.sampled_from([0.0, 0.2, 0.34, 0.4, 0.49, 0.5, 0.7, 1.0]), st.integers(1, 60)), min_size=0, max_size=60
)


def flat(runs: list[tuple[float, int]]) -> list[float]:
    return [level for level, count in runs for _ in range(count)]


@given(RUNS, st.sampled_from([ChunkingOptions(), SHORT]))
def test_every_speech_sample_is_in_exactly_one_piece(runs: list[tuple[float, int]], options: ChunkingOptions) -> None:
    probabilities = flat(runs)

    pieces = pieces_of(chunks_of(probabilities, options))

    assert all(before.end <= after.start for before, after in pairwise(pieces))
    assert all(0 <= piece.start < piece.end <= len(probabilities) * WINDOW for piece in pieces)
    for span in spans_of(probabilities, options):
        inside = sum(max(0, min(piece.end, span.end) - max(piece.start, span.start)) for piece in pieces)
        assert inside == span.end - span.start


@given(RUNS, st.sampled_from([ChunkingOptions(), SHORT]))
def test_chunks_are_numbered_and_fit_the_window(runs: list[tuple[float, int]], options: ChunkingOptions) -> None:
    chunks = chunks_of(flat(runs), options)

    assert [chunk.index for chunk in chunks] == list(range(len(chunks)))
    assert all(chunk.seconds <= options.max_chunk_secs for chunk in chunks)


@given(RUNS, st.sampled_from([ChunkingOptions(), SHORT]))
def test_speech_that_fits_a_chunk_is_never_cut(runs: list[tuple[float, int]], options: ChunkingOptions) -> None:
    probabilities = flat(runs)
    limit = options.max_chunk_secs * SAMPLE_RATE - 2 * PAD
    short = [span for span in spans_of(probabilities, options) if span.end - span.start <= limit]

    for piece in pieces_of(chunks_of(probabilities, options)):
        assert not any(span.start < edge < span.end for span in short for edge in (piece.start, piece.end))


@given(RUNS, st.lists(st.integers(1, 100), min_size=1, max_size=20))
def test_the_size_of_the_blocks_changes_nothing(runs: list[tuple[float, int]], sizes: list[int]) -> None:
    probabilities = flat(runs)
    chunker = Chunker(SHORT)
    edges = [0, *accumulate(sizes), len(probabilities)]

    streamed = [
        chunk for start, end in pairwise(edges) for chunk in chunker.feed(probabilities[start : max(start, end)])
    ]
    streamed += chunker.feed(probabilities[max(edges) :]) if max(edges) < len(probabilities) else []
    streamed += chunker.finish(len(probabilities) * WINDOW)

    assert streamed == chunks_of(probabilities, SHORT)


@given(RUNS)
def test_a_chunk_is_sent_before_the_speech_that_does_not_fit_has_ended(runs: list[tuple[float, int]]) -> None:
    chunker = Chunker(SHORT)
    for count, probability in enumerate(flat(runs), 1):
        for chunk in chunker.feed([probability]):
            assert chunk.pieces[-1].end <= count * WINDOW
            assert chunk.seconds > 0


def test_silence_gives_no_chunk() -> None:
    assert chunks_of(silence(100)) == []
    assert chunks_of([]) == []


def test_a_click_is_not_speech() -> None:
    assert chunks_of([*silence(1), 0.9, 0.9, *silence(1)]) == []


def test_a_short_word_is_speech() -> None:
    assert len(chunks_of([*silence(1), *speech(0.2), *silence(1)])) == 1


def test_speech_is_padded_within_the_file() -> None:
    chunks = chunks_of([*silence(0.2), *speech(2), *silence(0.1)])

    assert chunks == [Chunk(0, (Piece(0, windows(0.2) * WINDOW + windows(2) * WINDOW + windows(0.1) * WINDOW),))]


def test_the_end_is_cut_to_the_samples_that_there_are() -> None:
    chunker = Chunker()
    assert chunker.feed(speech(2)) == []

    assert chunker.finish(2 * SECOND - 100) == [Chunk(0, (Piece(0, 2 * SECOND - 100),))]


def test_a_pause_of_a_second_is_kept() -> None:
    (chunk,) = chunks_of([*speech(3), *silence(0.9), *speech(3)])

    assert len(chunk.pieces) == 1


def test_a_long_pause_is_shortened_by_its_middle() -> None:
    (chunk,) = chunks_of([*speech(3.2), *silence(60.8), *speech(3.2)])

    first, second = chunk.pieces
    assert first.end == windows(3.2) * WINDOW + PAD
    assert second.start == windows(3.2) * WINDOW + windows(60.8) * WINDOW - PAD


def test_spans_share_a_chunk_until_the_next_does_not_fit() -> None:
    chunks = chunks_of([*speech(12), *silence(2), *speech(12), *silence(2), *speech(12), *silence(2)])

    assert [len(chunk.pieces) for chunk in chunks] == [2, 1]


def test_a_chunk_is_certain_as_soon_as_the_next_span_has_outgrown_it() -> None:
    chunker = Chunker()
    assert chunker.feed([*speech(20), *silence(2), *speech(8)]) == []

    assert [chunk.index for chunk in chunker.feed(speech(1))] == [0]


def test_a_full_chunk_does_not_wait_for_the_next_speech() -> None:
    chunker = Chunker()
    assert chunker.feed(speech(28.8)) == []

    assert len(chunker.feed(silence(1.2))) == 1


def test_endless_speech_is_cut_in_its_last_brief_dip() -> None:
    dip = [0.2] * 4
    probabilities = [*speech(10), *dip, *speech(12), *dip, *speech(20)]

    first, second = chunks_of(probabilities)

    assert first.pieces[0].end == second.pieces[0].start == (windows(10) + 4 + windows(12) + 2) * WINDOW


def test_endless_speech_without_a_dip_is_cut_where_speech_is_least_likely() -> None:
    probabilities = speech(45)
    place = windows(20)
    probabilities[place - 1 : place + 2] = [0.6, 0.5, 0.6]

    first, second = chunks_of(probabilities)

    assert first.pieces[0].end == second.pieces[0].start == place * WINDOW


def test_the_rest_of_cut_speech_is_kept_however_short() -> None:
    probabilities = speech(29.6)
    probabilities[-3:-1] = [0.4, 0.4]

    chunks = chunks_of([*probabilities, *silence(3)])

    assert chunks[0].pieces[-1].end == chunks[-1].pieces[0].start
    assert chunks[-1].pieces[-1].end >= windows(29.6) * WINDOW


def test_the_first_chunk_of_endless_speech_is_there_after_thirty_seconds() -> None:
    assert len(Chunker().feed(speech(30))) == 1


# --- chunk time to file time ---

CHUNK = Chunk(0, (Piece(10 * SECOND, 14 * SECOND), Piece(100 * SECOND, 105 * SECOND)))
"""0 to 4 s of the chunk are 10 to 14 s of the file; 4 to 9 s are 100 to 105 s."""


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


def test_a_segment_without_words_does_not_reach_over_a_joint_by_a_hair() -> None:
    assert times(to_file_time(CHUNK, [Segment(start=1, end=4.2, text="a")])) == [(11, 14)]
    assert times(to_file_time(CHUNK, [Segment(start=3.8, end=6, text="a")])) == [(100, 102)]
    assert times(to_file_time(CHUNK, [Segment(start=1, end=4, text="a")])) == [(11, 14)]
    assert times(to_file_time(CHUNK, [Segment(start=4, end=6, text="a")])) == [(100, 102)]


def test_a_segment_without_words_may_span_a_pause() -> None:
    assert times(to_file_time(CHUNK, [Segment(start=1, end=6, text="a b")])) == [(11, 102)]


def test_times_outside_the_chunk_are_brought_inside() -> None:
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
def test_mapped_text_is_all_there_and_is_that_of_the_words(drawn: tuple[Chunk, list[Segment]]) -> None:
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


def test_a_first_word_in_the_silence_before_a_joint_goes_with_its_sentence() -> None:
    chunk = Chunk(0, (Piece(0, 3 * SAMPLE_RATE), Piece(10 * SAMPLE_RATE, 14 * SAMPLE_RATE)))
    words = (
        Word(text="Can", start=2.9, end=2.95, probability=0.9),
        Word(text=" you", start=3.5, end=3.8, probability=0.9),
        Word(text=" sign?", start=3.8, end=4.4, probability=0.9),
    )
    [whole] = to_file_time(chunk, [Segment(start=2.9, end=4.4, text="Can you sign?", words=words)])

    assert (whole.text, whole.start) == ("Can you sign?", 10.0)


def test_a_last_word_in_the_silence_after_a_joint_goes_with_its_sentence() -> None:
    chunk = Chunk(0, (Piece(0, 3 * SAMPLE_RATE), Piece(10 * SAMPLE_RATE, 14 * SAMPLE_RATE)))
    words = (
        Word(text="Sign", start=1.0, end=1.5, probability=0.9),
        Word(text=" it.", start=3.1, end=3.3, probability=0.9),
    )
    [whole] = to_file_time(chunk, [Segment(start=1.0, end=3.3, text="Sign it.", words=words)])

    assert (whole.text, whole.end) == ("Sign it.", 3.0)
