"""The worker's answers, with an engine that does as it is told."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from scrivano.domain.decoding import ChunkResult, DecodingOptions
from scrivano.domain.transcript import Segment
from scrivano.engines.engine import AudioChunk, Engine
from scrivano.engines.worker import Worker
from scrivano.processes.messages import ChunkRequest, Close, Decode, Decoded, EngineMessage, Failed, Load, Loaded

HEARD = ChunkResult(language="en", language_probability=0.9, segments=(Segment(start=0.0, end=1.0, text="Yes."),))


class FakeEngine:
    """Answers every chunk with `HEARD`, or fails."""

    def __init__(self, failure: Exception | None = None, cold: Exception | None = None) -> None:
        self.failure = failure
        self.cold = cold
        self.closed = False

    def warm_up(self) -> None:
        if self.cold:
            raise self.cold

    def decode(self, batch: Sequence[AudioChunk], options: DecodingOptions) -> list[ChunkResult]:
        if self.failure:
            raise self.failure
        return [HEARD for _ in batch]

    def close(self) -> None:
        self.closed = True


class Talk:
    """A worker with this engine, and what it said."""

    def __init__(self, engine: FakeEngine) -> None:
        self.said: list[EngineMessage] = []
        self.engine = engine
        self.worker = Worker(self.said.append, self.open)

    def open(self, request: Load, send: object) -> Engine:
        return self.engine


def decode(path: Path) -> Decode:
    path.write_bytes(b"\0" * 64)
    chunk = ChunkRequest(path=str(path), pieces=((0, 32),))
    return Decode(id=3, options=DecodingOptions(), chunks=(chunk,))


def test_a_batch_is_answered_with_its_results(tmp_path: Path) -> None:
    talk = Talk(FakeEngine())

    talk.worker.handle(Load())
    talk.worker.handle(decode(tmp_path / "a"))

    [loaded, decoded] = talk.said
    assert isinstance(loaded, Loaded)
    assert isinstance(decoded, Decoded)
    assert (decoded.id, decoded.results) == (3, (HEARD,))


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        (RuntimeError("CUDA failed with error out of memory"), "memory"),
        (MemoryError(), "memory"),
        (RuntimeError("CUDA failed with error unspecified launch failure"), "device"),
        (RuntimeError("anything else"), "input"),
    ],
)
def test_a_decode_that_fails_says_what_kind_of_failure_it_is(tmp_path: Path, failure: Exception, kind: str) -> None:
    talk = Talk(FakeEngine(failure))

    talk.worker.handle(Load())

    assert talk.worker.handle(decode(tmp_path / "a"))
    failed = talk.said[-1]
    assert isinstance(failed, Failed)
    assert (failed.id, failed.kind) == (3, kind)


def test_memory_that_lacks_at_the_warm_up_fails_the_load() -> None:
    talk = Talk(FakeEngine(cold=RuntimeError("cuBLAS failed with status CUBLAS_STATUS_ALLOC_FAILED")))

    talk.worker.handle(Load())

    [failed] = talk.said
    assert isinstance(failed, Failed)
    assert (failed.id, failed.kind) == (None, "memory")


def test_close_frees_the_model_and_ends() -> None:
    talk = Talk(FakeEngine())
    talk.worker.handle(Load())

    assert not talk.worker.handle(Close())
    assert talk.engine.closed
