"""What each method of the store does, on a real database."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import func, select
from store_support import Clock, add, new_job, plan

from scrivano.domain.errors import JobNotFound, JobTerminal, JobUnfinished, NoSpeakers, QueueFull
from scrivano.domain.job import Job, JobStatus, Task
from scrivano.domain.job_event import JobEvent
from scrivano.domain.speakers import NO_SPEAKERS, Diarization, NamedVoice, Speaker, Turn
from scrivano.store.chunk_rows import StoredChunk
from scrivano.store.database import Database
from scrivano.store.jobs import Decoded, JobStore
from scrivano.store.outbox import Outbox
from scrivano.store.tables import known_voices

URL = "http://hooks.test/a"
PROGRESS = {"percent": 40, "chunk": 2, "chunks_total": 5}


def running(store: JobStore, clock: Clock, job_id: str = "a", chunks: int = 3, **fields: object) -> str:
    """A job in its first attempt, with undecoded chunks."""
    add(store, new_job(job_id, clock, **fields))
    store.claim(job_id, 60)
    store.add_chunks(job_id, 1, plan(chunks))
    return job_id


def decoded(job_id: str = "a", attempt: int = 1, index: int = 0, **fields: object) -> Decoded:
    return Decoded(**{"job_id": job_id, "attempt": attempt, "index": index, "result": b"[]", **fields})  # type: ignore[arg-type]


# Accepting and claiming


def test_a_job_comes_back_as_it_was_stored(store: JobStore, clock: Clock) -> None:
    job = Job(
        id="6f9619ff-8b86-4d01-b42d-00cf4fc964ff",
        status=JobStatus.QUEUED,
        task=Task.TRANSLATE,
        created_at=clock(),
        language="it",
        webhook_url=URL,
        filename="../Ünïcode '\".mp3",
        options={"beam_size": 1, "prompt": "ciao"},
    )

    assert add(store, job) == job.id
    assert store.get_job(job.id) == job


def test_an_unknown_job_is_not_found(store: JobStore) -> None:
    with pytest.raises(JobNotFound, match="job nope not found"):
        store.get_job("nope")
    assert store.get_result("nope") is None
    assert store.claim("nope", 60) is None


def test_a_full_queue_takes_only_what_it_has(store: JobStore, clock: Clock) -> None:
    add(store, new_job("a", clock), idempotency_key="k", max_queue=1)

    with pytest.raises(QueueFull, match="the queue is full: 1 job,"):
        add(store, new_job("b", clock), max_queue=1)
    assert add(store, new_job("c", clock), idempotency_key="k", max_queue=1) == "a"
    assert add(store, new_job("d", clock), duplicates_since=clock(), max_queue=1) == "a"
    store.claim("a", 60)
    assert add(store, new_job("e", clock), max_queue=1) == "e"
    with pytest.raises(JobNotFound):
        store.get_job("b")


def test_the_queue_counts_waiting_jobs_and_unfinished_are_oldest_first(store: JobStore, clock: Clock) -> None:
    for job_id in "dcba":
        add(store, new_job(job_id, clock))
        clock.forward(1)
    store.claim("d", 60)
    store.cancel("b")

    assert store.queue_depth() == 2
    assert [job.id for job in store.unfinished()] == ["d", "c", "a"]


def test_claiming_numbers_the_attempts_and_waits_for_the_lease(store: JobStore, clock: Clock) -> None:
    add(store, new_job("a", clock))

    first = store.claim("a", 60)
    assert first is not None
    assert (first.status, first.attempt) == (JobStatus.RUNNING, 1)
    clock.forward(59)
    assert store.claim("a", 60) is None
    assert store.renew("a", 1, 60)
    clock.forward(59)
    assert store.claim("a", 60) is None
    clock.forward(1)
    second = store.claim("a", 60)
    assert second is not None
    assert second.attempt == 2


def test_an_attempt_that_gives_up_makes_nobody_wait_whatever_the_clock_says(store: JobStore, clock: Clock) -> None:
    add(store, new_job("a", clock))
    store.claim("a", 60)
    clock.forward(-5 * 3600)

    assert store.claim("a", 60) is None
    assert store.release("a", 1)
    taken = store.claim("a", 60)
    assert taken is not None
    assert taken.attempt == 2
    assert not store.release("a", 1)


def test_at_start_every_lease_is_void(store: JobStore, clock: Clock) -> None:
    running(store, clock)

    assert store.release_leases() == 1
    assert store.get_job("a").status is JobStatus.RUNNING
    again = store.claim("a", 60)
    assert again is not None
    assert again.attempt == 2


def test_an_ended_job_cannot_be_claimed(store: JobStore, clock: Clock) -> None:
    running(store, clock)
    store.cancel("a")
    clock.forward(3600)

    assert store.claim("a", 60) is None


def test_a_known_language_is_kept(store: JobStore, clock: Clock) -> None:
    running(store, clock)

    assert store.store_results([decoded(language="it")]) == [True]
    assert store.store_results([decoded(language="en")]) == [True]
    assert store.get_job("a").language == "it"


# Chunks


def test_the_same_plan_keeps_results_and_crashes(store: JobStore, clock: Clock) -> None:
    running(store, clock)
    store.store_results([decoded(index=1, result=b"[1]")])
    store.count_crashes([("a", 1, 2)])
    store.release_leases()
    store.claim("a", 60)

    known = [StoredChunk(c, r, n) for c, r, n in zip(plan(3), (None, b"[1]", None), (0, 0, 1), strict=True)]
    assert store.add_chunks("a", 2, plan(3)) == known
    assert store.add_chunks("a", 2, plan(1, first=1)) == known[1:2]
    assert store.chunks("a") == known


def test_another_plan_drops_that_chunk_and_all_later_ones(store: JobStore, clock: Clock) -> None:
    running(store, clock, chunks=5)
    store.plan_complete("a", 1, chunks_total=5, duration_secs=1.0)
    store.store_results([decoded(index=index, result=b"old") for index in range(5)])

    other = [*plan(1), *plan(1, first=1, length=600)]
    expected = [StoredChunk(other[0], b"old", 0), StoredChunk(other[1], None, 0)]
    assert store.add_chunks("a", 1, other) == expected
    assert store.chunks("a") == expected
    assert store.get_job("a").chunks_total is None


def test_the_log_starts_again_if_what_it_has_is_cut_otherwise(store: JobStore, clock: Clock) -> None:
    running(store, clock, chunks=2)
    language, segment = {"language": "it", "probability": 0.9}, {"text": "old"}
    store.store_results([decoded(index=0, language="it", detected=language, segments=[segment])])

    assert store.count_segments("a") == 1

    store.add_chunks("a", 1, plan(1, length=600), restarts_log=True)
    assert store.count_segments("a") == 0
    store.store_results([decoded(index=0, segments=[{"text": "new"}])])

    events = [(event.type, event.data) for event in store.events_after("a", 0)]
    assert events == [("retry", {}), ("language", language), ("segment", {"text": "new"})]


def test_a_complete_plan_has_no_chunks_beyond_it(store: JobStore, clock: Clock) -> None:
    running(store, clock, chunks=5)

    assert store.plan_complete("a", 1, chunks_total=3, duration_secs=12.5)
    assert [stored.chunk.index for stored in store.chunks("a")] == [0, 1, 2]
    job = store.get_job("a")
    assert (job.chunks_total, job.duration_secs) == (3, 12.5)


def test_what_was_found_out_about_a_recording_is_kept_until_it_is_read_again(store: JobStore, clock: Clock) -> None:
    running(store, clock, chunks=1)
    audio, warnings = {"track": 1, "codec": "aac"}, [{"code": "quiet", "message": "so", "at": 1.0}]

    assert store.plan_complete("a", 1, chunks_total=1, duration_secs=1.0, audio=audio, warnings=warnings)
    job = store.get_job("a")
    assert (job.audio, job.warnings) == (audio, warnings)
    store.publish_failed("a", 1, "engine_input", "no")
    job = store.retry("a")
    assert (job.audio, job.warnings) == (None, None)


def test_a_plan_may_be_empty(store: JobStore, clock: Clock) -> None:
    running(store, clock, chunks=0)

    assert store.add_chunks("a", 1, []) == []
    assert store.plan_complete("a", 1, chunks_total=0, duration_secs=3.0)
    assert store.chunks("a") == []


def test_a_batch_serves_several_jobs_and_refuses_only_what_is_lost(store: JobStore, clock: Clock) -> None:
    for job_id in "abc":
        running(store, clock, job_id)
    store.cancel("b")

    accepted = store.store_results(
        [decoded("a", index=2), decoded("b"), decoded("c", attempt=2), decoded("c", index=9), decoded("c", index=1)]
    )

    assert accepted == [True, False, False, False, True]
    assert [stored.result for stored in store.chunks("a")] == [None, None, b"[]"]
    assert [stored.result for stored in store.chunks("c")] == [None, b"[]", None]


def test_results_bring_language_and_progress_along(store: JobStore, clock: Clock) -> None:
    running(store, clock)

    store.store_results([decoded(index=0, language="it", progress=PROGRESS), decoded(index=1, language="en")])

    job = store.get_job("a")
    assert (job.language, job.progress) == ("it", 40)
    assert store.events_after("a", 0) == [JobEvent("a", 1, "progress", PROGRESS)]


def test_progress_never_goes_back(store: JobStore, clock: Clock) -> None:
    running(store, clock)

    for percent in (40, 10, 41):
        store.store_results([decoded(progress={**PROGRESS, "percent": percent})])
        store.store_results([decoded(progress={**PROGRESS, "percent": percent - 5})])

    assert [event.data["percent"] for event in store.events_after("a", 0)] == [40, 40, 40, 40, 41, 41]
    assert store.get_job("a").progress == 41


def test_crashes_are_counted_by_chunk(store: JobStore, clock: Clock) -> None:
    running(store, clock)

    assert store.count_crashes([("a", 1, 0), ("a", 1, 1)]) == [1, 1]
    assert store.count_crashes([("a", 1, 1), ("a", 2, 0), ("a", 1, 7)]) == [2, 0, 0]


# The end of a job


def test_done_is_transcript_status_event_and_delivery_at_once(store: JobStore, outbox: Outbox, clock: Clock) -> None:
    running(store, clock, webhook_url=URL)
    clock.forward(10)

    assert store.publish_done("a", 1, b'[{"text": "hi"}]', language="en", duration_secs=2.5)

    job = store.get_job("a")
    assert (job.status, job.progress, job.language, job.duration_secs) == (JobStatus.DONE, 100, "en", 2.5)
    assert job.completed_at == clock()
    assert store.get_result("a") == b'[{"text": "hi"}]'
    assert store.chunks("a") == []
    assert store.events_after("a", 0) == [JobEvent("a", 1, "done", {})]
    (delivery,) = outbox.due(10)
    assert (delivery.id, delivery.job_id, delivery.url, delivery.kind) == ("msg_a", "a", URL, "job")
    assert delivery.payload is None
    assert not store.publish_done("a", 1, b"[]", language="en", duration_secs=1.0)


def test_done_keeps_the_language_that_was_given(store: JobStore, clock: Clock) -> None:
    running(store, clock, language="de")

    store.publish_done("a", 1, b"[]", language=None, duration_secs=1.0)

    assert store.get_job("a").language == "de"


def test_failure_says_why(store: JobStore, outbox: Outbox, clock: Clock) -> None:
    running(store, clock, webhook_url=URL)

    assert store.publish_failed("a", 1, "no_audio", "there is no sound in it")

    job = store.get_job("a")
    assert (job.status, job.error_code, job.error) == (JobStatus.FAILED, "no_audio", "there is no sound in it")
    assert [event.type for event in store.events_after("a", 0)] == ["error"]
    assert store.events_after("a", 0)[0].data == {"message": "there is no sound in it", "code": "no_audio"}
    assert len(outbox.due(10)) == 1
    assert store.get_result("a") is None


def test_a_waiting_job_can_fail_without_an_attempt(store: JobStore, clock: Clock) -> None:
    add(store, new_job("a", clock))
    running(store, clock, "b")

    assert store.publish_failed("a", None, "gone", "its upload is gone")
    assert not store.publish_failed("b", None, "gone", "its upload is gone")
    assert store.get_job("b").status is JobStatus.RUNNING


def test_cancelling_ends_waiting_and_running_jobs_once(store: JobStore, outbox: Outbox, clock: Clock) -> None:
    add(store, new_job("a", clock, webhook_url=URL))
    running(store, clock, "b")

    assert store.cancel("a").status is JobStatus.CANCELLED
    assert store.cancel("b") == store.get_job("b")
    assert [event.type for event in store.events_after("b", 0)] == ["done"]
    assert [delivery.job_id for delivery in outbox.due(10)] == ["a"]
    with pytest.raises(JobTerminal, match="job a is already in terminal state cancelled"):
        store.cancel("a")
    with pytest.raises(JobNotFound):
        store.cancel("nope")


# The fence: each write of a runner, by job and attempt

WRITES: dict[str, Callable[[JobStore, str, int], object]] = {
    "renew": lambda store, a, n: store.renew(a, n, 600),
    "chunks": lambda store, a, n: store.add_chunks(a, n, plan(1, first=3)),
    "other chunks": lambda store, a, n: store.add_chunks(a, n, plan(3, length=600)),
    "plan": lambda store, a, n: store.plan_complete(a, n, chunks_total=2, duration_secs=5.0),
    "result": lambda store, a, n: store.store_results([decoded(a, n, progress=PROGRESS, language="it")])[0],
    "crash": lambda store, a, n: store.count_crashes([(a, n, 0)])[0],
    "voices": lambda store, a, n: store.store_voices(a, n, 0, b"v"),
    "guess": lambda store, a, n: store.store_guess(a, n, NO_SPEAKERS, []),
    "done": lambda store, a, n: store.publish_done(a, n, b"[]", language="it", duration_secs=5.0),
    "failed": lambda store, a, n: store.publish_failed(a, n, "code", "message"),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES.keys())
def test_an_attempt_that_lost_its_job_changes_nothing(
    store: JobStore,
    clock: Clock,
    changed: list[str],
    contents: Callable[[], object],
    write: Callable[[JobStore, str, int], object],
) -> None:
    running(store, clock, webhook_url=URL)
    running(store, clock, "cancelled")
    store.release_leases()
    store.claim("a", 60)  # attempt 2
    store.cancel("cancelled")
    changed.clear()
    before = contents()

    assert not write(store, "a", 1)
    assert not write(store, "a", 3)
    assert not write(store, "cancelled", 1)
    assert not write(store, "nope", 1)
    assert contents() == before
    assert changed == []

    # And the same call does write where the fence lets it: the silence above is the fence's.
    assert write(store, "a", 2)
    assert contents() != before


# Events and hooks


def test_the_log_is_numbered_by_job_and_replays_from_anywhere(store: JobStore, clock: Clock) -> None:
    running(store, clock, "a")
    running(store, clock, "b")

    store.store_results([decoded(segments=[{"n": n} for n in range(3)]), decoded("b", segments=[{}])])

    assert [event.seq for event in store.events_after("a", 0)] == [1, 2, 3]
    assert [event.seq for event in store.events_after("b", 0)] == [1]
    assert [event.seq for event in store.events_after("a", 1)] == [2, 3]
    assert store.events_after("a", 3) == []
    assert (store.last_seq("a"), store.last_seq("nope")) == (3, 0)


def test_hooks_are_called_after_the_commit(database: Database, clock: Clock) -> None:
    seen: list[tuple[str, int, JobStatus]] = []
    due: list[int] = []
    outbox = Outbox(database, clock, on_delivery=lambda: due.append(len(outbox.due(10))))

    def on_change(job_id: str) -> None:
        seen.append((job_id, store.last_seq(job_id), store.get_job(job_id).status))

    store = JobStore(database, outbox, clock, on_change=on_change)

    running(store, clock, "a", webhook_url=URL)
    running(store, clock, "b")
    assert seen == []
    store.store_results([decoded("a", progress=PROGRESS)])
    store.store_results([decoded("b", progress=PROGRESS), decoded("b", index=1, progress=PROGRESS), decoded("a")])
    store.publish_done("a", 1, b"[]", language="en", duration_secs=1.0)
    store.cancel("b")
    outbox.add("m", URL, "model_ready", b"{}")

    assert seen == [
        ("a", 1, JobStatus.RUNNING),
        ("b", 2, JobStatus.RUNNING),
        ("a", 2, JobStatus.DONE),
        ("b", 3, JobStatus.CANCELLED),
    ]
    assert due == [1, 2]


def test_a_long_transcript_is_served_byte_for_byte(store: JobStore, clock: Clock) -> None:
    running(store, clock)
    words = b",".join(b'{"text": " word%d", "start": 1.0, "end": 2.0, "probability": 0.5}' % n for n in range(100_000))

    store.publish_done("a", 1, b"[" + words + b"]", language="en", duration_secs=1.0)

    assert store.get_result("a") == b"[" + words + b"]"


# Forgetting


def test_a_purged_job_leaves_nothing_behind(store: JobStore, clock: Clock, contents: Callable[[], object]) -> None:
    add(store, new_job("other", clock))
    before = contents()
    running(store, clock, webhook_url=URL)
    store.store_results([decoded(progress=PROGRESS)])
    store.publish_done("a", 1, b"[]", language="en", duration_secs=3.0)

    store.purge("a")

    assert contents() == before
    with pytest.raises(JobNotFound):
        store.purge("a")


def test_a_job_that_has_not_ended_is_not_purged(store: JobStore, clock: Clock) -> None:
    running(store, clock)

    with pytest.raises(JobUnfinished, match="job a is still running"):
        store.purge("a")
    assert store.publish_done("a", 1, b"[]", language="en", duration_secs=3.0)


def test_jobs_expire_by_the_time_of_their_end(store: JobStore, clock: Clock) -> None:
    for job_id in "abc":
        add(store, new_job(job_id, clock))
    for job_id in "ca":
        clock.forward(60)
        store.cancel(job_id)

    assert store.expired(clock(), 10) == ["c", "a"]
    assert store.expired(clock(), 1) == ["c"]
    assert store.expired(clock() - timedelta(seconds=1), 10) == ["c"]
    assert store.expired(clock() - timedelta(seconds=61), 10) == []


def test_the_audio_of_unfinished_and_failed_jobs_is_needed(store: JobStore, clock: Clock) -> None:
    for job_id in ("queued", "running", "failed", "cancelled", "done"):
        running(store, clock, job_id) if job_id != "queued" else add(store, new_job(job_id, clock))
    store.publish_failed("failed", 1, "code", "why")
    store.cancel("cancelled")
    store.publish_done("done", 1, b"[]", language="en", duration_secs=3.0)

    assert store.with_audio(ended=False) == {"queued", "running", "failed"}
    assert store.with_audio(ended=True) == {"queued", "running", "failed", "cancelled", "done"}
    assert store.with_audio(ended=False, among=["done", "failed", "gone"]) == {"failed"}
    assert store.with_audio(ended=False, among=[]) == set()


def test_the_audio_of_a_job_is_kept_as_it_says(store: JobStore, clock: Clock) -> None:
    for job_id, options in (("kept", {"keep_audio": True}), ("dropped", {"keep_audio": False}), ("silent", {})):
        add(store, new_job(job_id, clock, options=options))
        store.cancel(job_id)

    assert store.with_audio(ended=False) == {"kept"}
    assert store.with_audio(ended=True) == {"kept", "silent"}


# Speakers

TWO = Diarization(
    speakers=(Speaker(id="S1", name="Speaker 1", seconds=2.0), Speaker(id="S2", name="Ada", seconds=1.0)),
    turns=(Turn(0.0, 2.0, "S1"), Turn(2.5, 3.5, "S2")),
    centres={"S1": b"one", "S2": b"two"},
)


def test_speakers_so_far_are_shown_while_the_job_runs(store: JobStore, clock: Clock) -> None:
    running(store, clock)
    assert store.store_guess("a", 1, TWO, ["S1", None])

    assert [one["name"] for one in store.get_job("a").speakers or ()] == ["Speaker 1", "Ada"]
    assert store.turns("a") == TWO.turns
    assert store.known_speakers("a") == [], "a guess has no voices"
    [event] = store.events_after("a", 0)
    assert (event.type, event.data["segments"]) == ("speakers", ["S1", None])
    assert event.data["speakers"][1] == {"id": "S2", "name": "Ada", "seconds": 1.0}
    with pytest.raises(NoSpeakers):
        store.change_speakers("a", names={"S1": "Eve"}, merge={})
    assert not store.store_guess("a", 2, TWO, []), "another attempt runs"


def test_speakers_of_the_end_take_the_place_of_those_so_far(store: JobStore, clock: Clock) -> None:
    running(store, clock)
    store.store_guess("a", 1, replace(TWO, turns=()), [])
    store.publish_done("a", 1, b"[]", language="en", duration_secs=4.0, speakers=TWO)

    assert store.turns("a") == TWO.turns
    assert [centre for _, centre in store.known_speakers("a")] == [b"one", b"two"]


@pytest.mark.parametrize("end", ["done", "failed", "cancelled"])
def test_a_job_that_ends_without_speakers_has_none(store: JobStore, clock: Clock, end: str) -> None:
    running(store, clock)
    store.store_guess("a", 1, TWO, [])
    if end == "done":
        store.publish_done("a", 1, b"[]", language="en", duration_secs=4.0)
    elif end == "failed":
        store.publish_failed("a", 1, "internal", "no")
    else:
        store.cancel("a")

    assert store.get_job("a").speakers is None
    assert store.turns("a") == ()


def test_the_voices_of_all_keys_can_be_listed_and_deleted(store: JobStore, clock: Clock) -> None:
    for voice_id, owner in (("a", "key"), ("b", None), ("c", "revoked")):
        store.add_voice(voice_id, owner, "Ada", b"centre")
        clock.forward(1)

    assert [(voice.id, voice.owner) for voice in store.all_voices()] == [("a", "key"), ("b", None), ("c", "revoked")]
    assert [voice.id for voice in store.voices("key")] == ["a"]
    store.delete_voice("c", None)
    assert [voice.id for voice in store.all_voices()] == ["a", "b"]


def test_voices_that_came_with_a_job_are_deleted_with_it(store: JobStore, database: Database, clock: Clock) -> None:
    voices = [NamedVoice(name="Eve", centre=b"e"), NamedVoice(name="Ada", centre=b"a")]
    add(store, new_job("a", clock), known_voices=voices)
    add(store, new_job("b", clock))

    assert store.known_voices("a") == voices
    assert store.known_voices("b") == []
    store.cancel("a")
    store.purge("a")
    assert store.known_voices("a") == []
    with database.read() as db:
        assert db.scalar(select(func.count()).select_from(known_voices)) == 0
