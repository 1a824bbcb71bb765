"""The queue of servers that share a database knows only of which classes jobs wait."""

from __future__ import annotations

from datetime import UTC, datetime

from scrivano.domain.job import Job, JobStatus, Priority, Task
from scrivano.running.shared_queue import SharedQueue


def job(**options: str) -> Job:
    now = datetime(2030, 1, 1, tzinfo=UTC)
    return Job(id="a", status=JobStatus.QUEUED, task=Task.TRANSCRIBE, created_at=now, options=options)


def test_a_class_is_asked_for_until_none_is_left() -> None:
    queue = SharedQueue(["small", "large"])
    queue.add(job())
    queue.found("large", {Priority.BULK})

    assert queue.next_class("small", list(Priority)) is Priority.NORMAL
    assert queue.next_class("small", [Priority.INTERACTIVE]) is None
    assert queue.has_any("large")
    queue.none_left("small", Priority.NORMAL)
    assert queue.next_class("small", list(Priority)) is None
    assert not queue.has_any("small")


def test_urgent_classes_are_first_and_no_class_starves() -> None:
    queue = SharedQueue(["small"])
    queue.found("small", set(Priority))

    turns = [queue.next_class("small", list(Priority)) for _ in range(20)]

    assert turns[0] is Priority.INTERACTIVE
    assert set(turns) == set(Priority)


def test_jobs_without_a_model_are_for_the_first_one() -> None:
    queue = SharedQueue(["small", "large"])

    assert queue.names_of("small") == ["small", None]
    assert queue.names_of("large") == ["large"]
    assert queue.add(job(model="large")) == "large"
