"""Chunks contain all speech, are cut in silence, and are the same for blocks of any size."""

from __future__ import annotations

from itertools import accumulate, pairwise

from hypothesis import given
from hypothesis import strategies as st

from scrivano.domain.chunk import SAMPLE_RATE, Chunk, Piece
from scrivano.media.chunking import WINDOW, Chunker, ChunkingOptions, Span, SpanFinder, SpeechLog

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


def test_the_last_piece_ends_with_the_recording() -> None:
    chunker = Chunker()
    assert chunker.feed(speech(2)) == []

    assert chunker.finish(2 * SECOND - 100) == [Chunk(0, (Piece(0, 2 * SECOND - 100),))]


def test_a_pause_of_a_second_is_kept() -> None:
    (chunk,) = chunks_of([*speech(3), *silence(0.9), *speech(3)])

    assert len(chunk.pieces) == 1


def test_the_middle_of_a_long_pause_is_removed() -> None:
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


def test_the_rest_of_cut_speech_is_kept_even_if_short() -> None:
    probabilities = speech(29.6)
    probabilities[-3:-1] = [0.4, 0.4]

    chunks = chunks_of([*probabilities, *silence(3)])

    assert chunks[0].pieces[-1].end == chunks[-1].pieces[0].start
    assert chunks[-1].pieces[-1].end >= windows(29.6) * WINDOW


def test_the_first_chunk_of_endless_speech_is_certain_after_30_s() -> None:
    assert len(Chunker().feed(speech(30))) == 1


# Speech in chunks


def marked(
    speech_probabilities: list[float], cut_by: list[float], options: ChunkingOptions | None = None
) -> list[Chunk]:
    chunker, log = Chunker(options), SpeechLog()
    found = []
    for one, other in zip(speech_probabilities, cut_by, strict=True):
        log.feed([one])
        found += [log.mark(chunk) for chunk in chunker.feed([other])]
    samples = len(cut_by) * WINDOW
    log.finish(samples)
    return found + [log.mark(chunk) for chunk in chunker.finish(samples)]


@given(st.lists(st.tuples(st.sampled_from([0.9, 0.01]), st.integers(1, 120)), max_size=30), st.booleans())
def test_chunks_know_all_speech_in_them(runs: list[tuple[float, int]], whole: bool) -> None:
    """`whole`: everything is cut into chunks, whatever is speech."""
    probabilities = [probability for probability, count in runs for _ in range(count)]

    chunks = marked(probabilities, [0.9] * len(probabilities) if whole else probabilities, SHORT)

    spans = spans_of(probabilities)
    known = [piece for chunk in chunks for piece in chunk.speech or ()]
    assert sum(piece.end - piece.start for piece in known) == sum(span.end - span.start for span in spans)
    assert all(any(span.start <= one.start < one.end <= span.end for span in spans) for one in known)
    assert all(
        any(piece.start <= one.start < one.end <= piece.end for piece in chunk.pieces)
        for chunk in chunks
        for one in chunk.speech or ()
    )


def test_speech_is_known_in_the_time_of_the_chunk_and_of_the_file() -> None:
    chunk = Chunk(
        0, (Piece(0, SECOND), Piece(5 * SECOND, 7 * SECOND)), (Piece(0, SECOND // 2), Piece(6 * SECOND, 7 * SECOND))
    )

    assert [(span.start, span.end) for span in chunk.speech_spans] == [(0.0, 0.5), (6.0, 7.0)]
    assert [(span.start, span.end) for span in chunk.speech_within()] == [(0.0, 0.5), (2.0, 3.0)]
