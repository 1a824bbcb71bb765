"""Requests that come again: by their key, as twins of an earlier one, from other owners."""

from __future__ import annotations

from datetime import timedelta

import pytest
from store_support import Clock, add, new_job

from scrivano.domain.errors import KeyReused
from scrivano.store.jobs import Decoded, JobStore


def test_the_same_key_and_request_is_the_same_job(store: JobStore, clock: Clock) -> None:
    assert add(store, new_job("a", clock, filename="one.mp3"), idempotency_key="k") == "a"
    store.claim("a", 60)
    # What is detected later is no part of the request.
    store.store_results([Decoded(job_id="a", attempt=1, index=None, result=None, language="en")])

    assert add(store, new_job("b", clock, filename="two.mp3"), idempotency_key="k") == "a"
    assert add(store, new_job("c", clock)) == "c"
    assert [job.id for job in store.unfinished()] == ["a", "c"]


def test_a_key_is_refused_for_another_request(store: JobStore, clock: Clock) -> None:
    add(store, new_job("a", clock), idempotency_key="k")

    for other in (new_job("b", clock, language="en"), new_job("b", clock, options={"beam_size": 1})):
        with pytest.raises(KeyReused):
            add(store, other, idempotency_key="k")
    with pytest.raises(KeyReused):
        store.add_job(new_job("b", clock), audio_sha256="other", audio_bytes=1, idempotency_key="k")


def test_a_request_without_a_key_is_its_recent_twin(store: JobStore, clock: Clock) -> None:
    hour = timedelta(hours=1)
    add(store, new_job("a", clock))
    clock.forward(3600)

    assert add(store, new_job("b", clock), duplicates_since=clock() - hour) == "a"
    assert add(store, new_job("c", clock, language="it"), duplicates_since=clock() - hour) == "c"
    assert add(store, new_job("d", clock)) == "d"
    assert add(store, new_job("e", clock), duplicates_since=clock() - hour, idempotency_key="k") == "e"
    clock.forward(3601)
    assert add(store, new_job("f", clock), duplicates_since=clock() - hour) == "f"


def test_a_job_without_a_transcript_to_come_is_nobodys_twin(store: JobStore, clock: Clock) -> None:
    add(store, new_job("a", clock))
    store.cancel("a")
    assert add(store, new_job("b", clock), duplicates_since=clock()) == "b"
    store.publish_failed("b", None, "internal", "no")
    assert add(store, new_job("c", clock), duplicates_since=clock()) == "c"


def test_two_owners_idempotency_keys_never_meet(store: JobStore, clock: Clock) -> None:
    assert add(store, new_job("a", clock, owner="one"), idempotency_key="k") == "a"
    assert add(store, new_job("b", clock, owner="two", language="it"), idempotency_key="k") == "b"
    assert add(store, new_job("c", clock), idempotency_key="k") == "c"

    assert add(store, new_job("d", clock, owner="one"), idempotency_key="k") == "a"
    assert add(store, new_job("e", clock, owner="two", language="it"), idempotency_key="k") == "b"
    assert add(store, new_job("f", clock), idempotency_key="k") == "c"
    assert add(store, new_job("g", clock, owner="one"), idempotency_key="k" * 255) == "g"


def test_the_same_recording_of_somebody_else_is_no_twin(store: JobStore, clock: Clock) -> None:
    since = clock() - timedelta(hours=1)
    for job_id, owner in [("a", "one"), ("b", "two"), ("c", None)]:
        assert add(store, new_job(job_id, clock, owner=owner), duplicates_since=since) == job_id

    for job_id, owner in [("a", "one"), ("b", "two"), ("c", None)]:
        assert add(store, new_job("x", clock, owner=owner), duplicates_since=since) == job_id


def test_a_purged_jobs_key_is_free_again(store: JobStore, clock: Clock) -> None:
    add(store, new_job("a", clock), idempotency_key="k")
    store.cancel("a")
    store.purge("a")

    assert add(store, new_job("b", clock, language="it"), idempotency_key="k") == "b"
