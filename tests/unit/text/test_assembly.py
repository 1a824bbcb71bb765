"""A job's transcript out of its chunks."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from scrivano.domain.chunk import SAMPLE_RATE, Chunk, Piece
from scrivano.domain.transcript import Segment, Word, segment_to_dict
from scrivano.text.assembly import assemble, job_segments, known_segments, main_language

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
def test_what_is_told_of_the_only_chunk_is_the_transcript(
    said: list[tuple[float, float, list[str]]], more_secs: float
) -> None:
    """A clip's transcript is not assembled a second time."""
    chunk = Chunk(0, (Piece(SAMPLE_RATE, 5 * SAMPLE_RATE), Piece(8 * SAMPLE_RATE, 14 * SAMPLE_RATE)))
    result = {"segments": [segment_to_dict(segment(*one)) for one in said]}

    whole = job_segments(assemble([(chunk, result)], chunk.end + more_secs))
    assert known_segments(chunk, result) == whole


def test_the_main_language_is_the_one_spoken_longest() -> None:
    told = [{"language": "en", "start": 0.0, "end": 3.0}, {"language": "it", "start": 3.0, "end": 8.0}]

    assert main_language([*told, {"language": "en", "start": 9.0, "end": 10.0}]) == "it"
    assert main_language([{"start": 0.0, "end": 3.0}]) is None
