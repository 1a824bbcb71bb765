"""The last hour in samples."""

from __future__ import annotations

import os
from datetime import UTC, datetime

from scrivano.telemetry.events import BatchDecoded
from scrivano.telemetry.history import History, ProcessUsage, Reading, process_usage

NOW = datetime(2030, 1, 2, tzinfo=UTC)


class Seconds:
    def __init__(self) -> None:
        self.value = 100.0

    def __call__(self) -> float:
        return self.value


def reading(cpu_s: float | None = None, *, queued: int = 0) -> Reading:
    usage = None if cpu_s is None else ProcessUsage(memory_mb=300, cpu_s=cpu_s)
    return Reading(queued=queued, running=1, usage=usage, gpu_used_mb=None)


def decoded(audio_s: float, duration_s: float) -> BatchDecoded:
    return BatchDecoded(model="m", job_ids=["a"], limit=8, audio_s=audio_s, duration_s=duration_s)


def test_a_sample_has_what_was_decoded_since_the_one_before() -> None:
    clock = Seconds()
    history = History(lambda: NOW, clock)
    for batches, cpu_s in (([(20.0, 2.0), (40.0, 3.0)], 7.0), ([(5.0, 30.0)], 22.0), ([], 1.0)):
        for batch in batches:
            history.emit(decoded(*batch))
        clock.value += 10
        history.sample(reading(cpu_s, queued=4))

    samples = history.samples
    assert [one.audio_secs for one in samples] == [60.0, 5.0, 0.0]
    assert [one.busy for one in samples] == [0.5, 1.0, 0.0]
    # Unknown at first; never below zero, when a process has ended.
    assert [one.cpu_cores for one in samples] == [None, 1.5, 0.0]
    assert {(one.at, one.queued, one.running, one.memory_mb) for one in samples} == {(NOW, 4, 1, 300)}


def test_only_the_last_hour_is_kept() -> None:
    history = History(lambda: NOW, Seconds())
    for queued in range(400):
        history.sample(reading(queued=queued))

    assert [one.queued for one in history.samples] == list(range(40, 400))
    assert history.samples[-1].memory_mb is None


def test_the_usage_of_processes_is_read_without_those_that_have_ended() -> None:
    here = process_usage([os.getpid(), 2**22 + 1])
    if here is None:
        assert not os.path.exists("/proc/self/statm")
    else:
        assert here.memory_mb > 10
        assert here.cpu_s > 0
        assert process_usage([2**22 + 1]) is None
