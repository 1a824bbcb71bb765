from __future__ import annotations

from datetime import UTC, datetime

from scrivano.domain.job import Job, JobStatus, Priority, Task
from scrivano.running.job_queue import Waitlist

ALL = list(Priority)


def job(job_id: str, model: str | None = None) -> Job:
    options = {} if model is None else {"model": model}
    created = datetime(2030, 1, 2, tzinfo=UTC)
    return Job(id=job_id, status=JobStatus.QUEUED, task=Task.TRANSCRIBE, created_at=created, options=options)


def test_a_job_waits_for_its_model_or_where_that_is_not_served_for_the_first() -> None:
    waitlist = Waitlist(["one", "two"])
    for one in (job("a"), job("b", "two"), job("c", "gone")):
        waitlist.add(one)

    assert [waitlist.take("two", ALL), waitlist.take("two", ALL)] == ["b", None]
    assert [waitlist.take("one", ALL), waitlist.take("one", ALL)] == ["a", "c"]
    assert not waitlist.has_any("one")


def test_what_is_removed_waits_no_longer() -> None:
    waitlist = Waitlist(["one", "two"])
    waitlist.add(job("a", "two"))

    waitlist.remove("a")
    waitlist.remove("nope")

    assert not waitlist.has_any("two")


def test_what_was_put_off_waits_again_once_it_is_resumed() -> None:
    waitlist, late = Waitlist(["one"]), job("a")
    waitlist.put_off(late, 10.0)

    assert (waitlist.due(10.0), waitlist.has_any("one")) == ([], False)
    assert waitlist.due(10.1) == waitlist.due(10.1) == [late]

    waitlist.resume(late)
    assert waitlist.due(99.0) == []
    assert waitlist.take("one", ALL) == "a"
