from __future__ import annotations

from datetime import UTC, datetime

from scrivano.domain.job import Job, JobStatus, Priority, Task
from scrivano.running.ageing import TURNS
from scrivano.running.job_queue import JobQueue

ALL = list(Priority)


def job(job_id: str, model: str | None = None, priority: Priority = Priority.NORMAL) -> Job:
    options = {"priority": priority.value} | ({} if model is None else {"model": model})
    created = datetime(2030, 1, 2, tzinfo=UTC)
    return Job(id=job_id, status=JobStatus.QUEUED, task=Task.TRANSCRIBE, created_at=created, options=options)


def test_a_job_waits_for_its_model_or_where_that_is_not_served_for_the_first() -> None:
    jobs = JobQueue(["one", "two"])
    for one in (job("a"), job("b", "two"), job("c", "gone")):
        jobs.add(one)

    assert [jobs.take("two", ALL), jobs.take("two", ALL)] == ["b", None]
    assert [jobs.take("one", ALL), jobs.take("one", ALL)] == ["a", "c"]
    assert not jobs.has_any("one")


def test_what_is_removed_waits_no_longer() -> None:
    jobs = JobQueue(["one", "two"])
    jobs.add(job("a", "two"))

    jobs.remove("a")
    jobs.remove("nope")

    assert not jobs.has_any("two")


def test_what_was_put_off_waits_again_once_it_is_resumed() -> None:
    jobs, late = JobQueue(["one"]), job("a")
    jobs.put_off(late, 10.0)

    assert (jobs.due(10.0), jobs.has_any("one")) == ([], False)
    assert jobs.due(10.1) == jobs.due(10.1) == [late]

    jobs.resume(late)
    assert jobs.due(99.0) == []
    assert jobs.take("one", ALL) == "a"


def test_urgent_jobs_start_first_and_bulk_jobs_start_in_the_end() -> None:
    queue = JobQueue(["one"])
    queue.add(job("bulk", priority=Priority.BULK))
    for number in range(40):
        queue.add(job(f"normal {number}"))
    queue.add(job("call", priority=Priority.INTERACTIVE))

    started = [queue.take("one", ALL) for _ in range(42)]

    assert started[0] == "call"
    assert started.index("bulk") <= TURNS[Priority.BULK] + 1
    assert queue.take("one", ALL) is None


def test_a_job_of_a_class_that_is_not_admitted_stays_where_it_is() -> None:
    queue = JobQueue(["one"])
    queue.add(job("bulk", priority=Priority.BULK))

    assert queue.take("one", [Priority.INTERACTIVE, Priority.NORMAL]) is None
    assert queue.take("one", [Priority.BULK]) == "bulk"
    assert not queue.has_any("one")
