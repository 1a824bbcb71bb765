from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from scrivano.jobs import Chunk, Job, JobOptions, JobStatus, Piece, Task
from scrivano.openjob import OpenJob, decoding

JOB = Job(id="a", status=JobStatus.RUNNING, task=Task.TRANSCRIBE, created_at=datetime(2030, 1, 1, tzinfo=UTC))


def text(index: int, version: int = 0) -> list[dict[str, Any]]:
    return [{"text": f"{index}.{part}.{version}"} for part in range(index % 3)]


@given(order=st.permutations(range(8)), fails=st.sets(st.integers(0, 7)))
def test_text_is_told_once_in_order_and_as_stored_whatever_is_decoded_first_and_cannot_be_stored(
    order: list[int], fails: set[int]
) -> None:
    job = OpenJob.begin(JOB, [], {})
    for index in range(8):
        job.add_chunk(Chunk(index, (Piece(index * 100, index * 100 + 100),)))
    told = list[str]()
    for index in order:
        if index in fails:  # the disk is full: what was decoded is decoded again
            shown = job.shown
            job.mark_done(index)
            job.hear(index, text(index, version=1))
            job.mark_undone(index)
            job.shown = shown
        job.mark_done(index)
        told += [segment["text"] for segment in job.hear(index, text(index))]

    assert told == [segment["text"] for index in range(8) for segment in text(index)]


def test_a_job_says_for_itself_what_it_wants_and_leaves_the_rest_to_the_server() -> None:
    defaults = {"beam_size": 5, "word_timestamps": True}

    assert decoding(defaults, JobOptions()) == defaults
    assert decoding(defaults, JobOptions(word_timestamps=False, prompt="Minutes.", temperature=0.6)) == {
        "beam_size": 5,
        "word_timestamps": False,
        "initial_prompt": "Minutes.",
        "temperatures": [0.6, 0.8, 1.0],
    }
