"""The text of a job that is not done is the text that its transcript will have."""

from __future__ import annotations

from datetime import UTC, datetime

from scrivano.domain.chunk import Chunk, Piece
from scrivano.domain.decoding import ChunkResult
from scrivano.domain.job import Job, JobStatus, Task
from scrivano.domain.transcript import Segment
from scrivano.processes.messages import ChunkCut, pairs_of
from scrivano.running.chunk_run import ResultCodec, StoredResult
from scrivano.running.job_choices import JobDefaults
from scrivano.running.job_messages import ChunkDecoded
from scrivano.running.job_run import Earlier, JobRun
from scrivano.running.stored_text import known_text
from scrivano.store.chunk_rows import StoredChunk
from scrivano.store.jobs import Decoded

CODEC = ResultCodec()
CHUNK = Chunk(0, (Piece(16_000, 116_000),))
SEGMENTS = (
    Segment(start=0.0, end=1.0, text="Yes.", avg_logprob=-0.2),
    Segment(start=3.0, end=5.0, text="10.5 nm", avg_logprob=-2.4),
)


def test_what_was_made_up_where_nobody_spoke_is_not_shown_while_the_job_runs() -> None:
    job = Job(
        id="a",
        status=JobStatus.RUNNING,
        task=Task.TRANSCRIBE,
        created_at=datetime(2030, 1, 1, tzinfo=UTC),
        attempt=1,
        language="en",
    )
    run = JobRun(job, "base", JobDefaults(), Earlier(), CODEC, 0.0)
    run.step(ChunkCut(index=0, pieces=pairs_of(CHUNK.pieces), speech=((16_000, 48_000),)), 0.0)
    result = ChunkResult(language="en", language_probability=1.0, segments=SEGMENTS)

    [record] = run.step(ChunkDecoded(0, result), 1.0)

    assert isinstance(record, Decoded)
    row = StoredChunk(CHUNK, record.result, 0)
    assert [(one.text, one.start) for one in known_text([row], 10.0)] == [("Yes.", 1.0)]


def test_results_of_earlier_versions_are_shown_whole() -> None:
    """They were stored without their speech, and nothing tells what was made up."""
    result = CODEC.encode(StoredResult(language="en", segments=SEGMENTS))

    shown = known_text([StoredChunk(CHUNK, result, 0), StoredChunk(CHUNK, None, 0)], 10.0)

    assert [one.text for one in shown] == ["Yes.", "10.5 nm"]
