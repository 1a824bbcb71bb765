"""What the `progress` events of a job say."""

from __future__ import annotations

import pytest

from scrivano.domain.chunk import SAMPLE_RATE, Chunk, Piece
from scrivano.running.progress import Progress


def chunk(index: int, start: int, end: int, side: int | None = None) -> Chunk:
    """`start` and `end` in seconds."""
    return Chunk(index, (Piece(start * SAMPLE_RATE, end * SAMPLE_RATE),), side=side)


@pytest.mark.parametrize(("max_chunk_s", "more"), [(30.0, 4), (19.0, 6)])
def test_the_audio_that_is_not_cut_yet_is_as_many_chunks_as_the_longest_chunk_allows(
    max_chunk_s: float, more: int
) -> None:
    progress = Progress(max_chunk_s)
    progress.expect(100.0, 1)
    progress.add_cut(chunk(0, 0, 15))
    progress.add_done(chunk(0, 0, 15))

    assert progress.due(0.0, last=False) == {"percent": 15, "chunk": 1, "chunks_total": 1 + more}

    progress.complete()
    assert progress.due(1.0, last=False) == {"percent": 100, "chunk": 1, "chunks_total": 1}


def test_each_side_is_still_to_be_cut_from_its_last_chunk_on() -> None:
    progress = Progress(30.0)
    progress.expect(48.0, 2)
    progress.add_cut(chunk(0, 0, 24, side=1))
    progress.add_done(chunk(0, 0, 24, side=1))

    assert progress.due(0.0, last=False) == {"percent": 25, "chunk": 1, "chunks_total": 1 + 3}


def test_what_was_cut_before_the_media_child_was_started_again_stays_cut() -> None:
    progress = Progress(30.0)
    progress.expect(48.0, 1)
    progress.add_cut(chunk(0, 0, 24))
    before = progress.due(0.0, last=False)

    progress.expect(48.0, 1)

    assert progress.due(1.0, last=False) == before == {"percent": 0, "chunk": 0, "chunks_total": 1 + 1}


def test_a_recording_of_unknown_length_has_the_chunks_that_are_cut() -> None:
    progress = Progress(30.0)
    progress.expect(None, 1)

    assert progress.due(0.0, last=False) == {"percent": 0, "chunk": 0, "chunks_total": 0}


def test_events_come_at_most_twice_a_second_but_the_last_one_comes() -> None:
    progress = Progress(30.0)

    assert [progress.due(now_s, last=last) is not None for now_s, last in [(0, False), (0.4, False), (0.4, True)]] == [
        True,
        False,
        True,
    ]
