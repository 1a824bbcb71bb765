"""The worker's answers, with an engine that does as it is told."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from scrivano.domain.transcript import Segment
from scrivano.engines.engine import AudioChunk, ChunkResult, DecodingOptions
from scrivano.engines.worker import LoadedEngine, Worker, tune_allocator, warn_of_mkl, widen_vectors

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


def test_the_allocator_is_left_alone_when_asked_to() -> None:
    assert not tune_allocator("default")


@pytest.mark.parametrize(
    ("environment", "cpu", "warned"),
    [
        ({"CT2_USE_MKL": "1"}, "vendor_id : AuthenticAMD", True),
        ({"CT2_USE_MKL": "0"}, "vendor_id : AuthenticAMD", False),
        ({"CT2_USE_MKL": "1"}, "vendor_id : GenuineIntel", False),
        ({}, "vendor_id : AuthenticAMD", False),
    ],
)
def test_mkl_on_amd_is_warned_of(
    environment: dict[str, str], cpu: str, warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        warn_of_mkl(environment, cpu)

    assert ("CT2_USE_MKL" in caplog.text) is warned


@pytest.mark.parametrize(
    ("environment", "flags", "expected"),
    [
        ({}, "fpu avx512f avx512dq avx512cd avx512bw avx512vl avx512_vnni", "AVX512"),
        ({}, "fpu avx512f avx512dq avx512cd avx512bw avx512vl", None),
        ({}, "fpu avx2", None),
        ({"CT2_FORCE_CPU_ISA": "AVX2"}, "avx512f avx512dq avx512cd avx512bw avx512vl avx512_vnni", "AVX2"),
    ],
)
def test_wide_vectors_are_used_where_they_are_fast(
    environment: dict[str, str], flags: str, expected: str | None
) -> None:
    widen_vectors(environment, f"processor\t: 0\nflags\t\t: {flags}\n")

    assert environment.get("CT2_FORCE_CPU_ISA") == expected
