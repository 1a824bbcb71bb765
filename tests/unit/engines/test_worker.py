"""The worker's answers, with an engine that does as it is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from scrivano.domain.transcript import Segment
from scrivano.engines.engine import AudioChunk, ChunkResult, DecodingOptions
from scrivano.engines.worker import LoadedEngine, Worker

HEARD = ChunkResult(language="en", language_probability=0.9, segments=(Segment(start=0.0, end=1.0, text="Yes."),))


class FakeEngine:
    """Answers every chunk with `HEARD`, or fails."""

    multilingual = True
    languages: Sequence[str] = ("en",)

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
        self.said: list[Mapping[str, Any]] = []
        self.engine = engine
        self.worker = Worker(self.said.append, self.open)

    def open(self, request: Mapping[str, Any], send: object) -> LoadedEngine:
        return self.engine


def decode(path: Path) -> dict[str, Any]:
    path.write_bytes(b"\0" * 64)
    return {"type": "decode", "id": 3, "options": {}, "chunks": [{"path": str(path), "pieces": [[0, 32]]}]}


def test_results_come_as_plain_values(tmp_path: Path) -> None:
    talk = Talk(FakeEngine())

    talk.worker.handle({"type": "load"})
    talk.worker.handle(decode(tmp_path / "a"))

    [loaded, result] = talk.said
    assert loaded["languages"] == ["en"]
    assert result["results"][0]["segments"][0]["text"] == "Yes."


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

    talk.worker.handle({"type": "load"})

    assert talk.worker.handle(decode(tmp_path / "a"))
    assert (talk.said[-1]["type"], talk.said[-1]["id"], talk.said[-1]["kind"]) == ("failed", 3, kind)


def test_memory_that_lacks_at_the_warm_up_fails_the_load() -> None:
    talk = Talk(FakeEngine(cold=RuntimeError("cuBLAS failed with status CUBLAS_STATUS_ALLOC_FAILED")))

    talk.worker.handle({"type": "load"})

    assert [(said["type"], said["id"], said["kind"]) for said in talk.said] == [("failed", None, "memory")]


def test_close_frees_the_model_and_ends() -> None:
    talk = Talk(FakeEngine())
    talk.worker.handle({"type": "load"})

    assert not talk.worker.handle({"type": "close"})
    assert talk.engine.closed
