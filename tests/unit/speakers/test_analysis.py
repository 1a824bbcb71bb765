"""What the networks run on."""

from __future__ import annotations

from typing import Any

import pytest

from scrivano.processes.voice_messages import FindVoices, VoicesFailed
from scrivano.speakers.analysis import CPU, CUDA, VoiceAnalyser, providers
from scrivano.speakers.child import Worker, gpu_of


def test_a_gpu_is_used_only_if_onnxruntime_can() -> None:
    limits = {"device_id": 1, "gpu_mem_limit": 1 << 30, "arena_extend_strategy": "kSameAsRequested"}

    assert providers(1, [CUDA, CPU]) == [(CUDA, limits), CPU]
    assert providers(1, [CPU]) == [CPU]
    assert providers(None, [CUDA, CPU]) == [CPU]


@pytest.mark.parametrize(("arguments", "gpu"), [([], None), (["--gpu", "2"], 2)])
def test_the_server_says_which_gpu(arguments: list[str], gpu: int | None) -> None:
    assert gpu_of(arguments) == gpu


def test_after_a_failure_of_the_gpu_the_cpu_is_used() -> None:
    asked: list[Any] = []

    def fails(gpu: int | None) -> VoiceAnalyser:
        asked.append(gpu)
        raise RuntimeError("no memory")

    worker = Worker(fails, gpu=0)
    answers = [worker.answer(FindVoices(id=number, path="none", start=0, end=1)) for number in range(2)]

    assert asked == [0, None]
    assert all(isinstance(answer, VoicesFailed) for answer in answers)
