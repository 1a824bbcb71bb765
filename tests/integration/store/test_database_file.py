"""The store on its file: what survives a kill and a full disk; many threads."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from store_support import Clock, add, dump, file_size_limit, new_job, opened, plan, query

from scrivano.domain.errors import StorageFull
from scrivano.domain.job import JobStatus
from scrivano.store.database import Database
from scrivano.store.jobs import Decoded, JobStore
from scrivano.store.outbox import Outbox
from scrivano.store.sqlite import SqliteDatabase

WRITER = Path(__file__).parents[2] / "children" / "writer.py"


@pytest.fixture
def database(path: Path, full: list[None]) -> Iterator[Database]:
    with closing(SqliteDatabase.open(path, on_full=lambda: full.append(None))) as database:
        yield database


# Killed


@pytest.mark.parametrize("seed", range(6))
def test_a_killed_writer_loses_nothing_that_it_had_committed(path: Path, clock: Clock, seed: int) -> None:
    lines = random.Random(seed).randrange(1, 60)
    with subprocess.Popen([sys.executable, str(WRITER), str(path)], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        said = [child.stdout.readline() for _ in range(lines)]
        child.kill()
        said += child.stdout.readlines()

    with opened(path, clock) as store:
        for step, job_id in (line.split() for line in said if line.endswith("\n")):
            assert _reached(store, job_id, step), f"{job_id} was {step}"
        _check_ends(path)
        store.release_leases()
        for job in store.unfinished():  # and it goes on
            assert store.claim(job.id, 60)
            assert store.publish_done(job.id, job.attempt + 1, b"[]", language=None, duration_secs=1.0)
    assert query(path, "PRAGMA integrity_check") == [("ok",)]


def _reached(store: JobStore, job_id: str, step: str) -> bool:
    """Whether the store knows of the step, or of a later one."""
    status = store.get_job(job_id).status
    chunks = store.chunks(job_id)
    return (
        status is JobStatus.DONE
        or {
            "queued": True,
            "running": status is JobStatus.RUNNING,
            "planned": len(chunks) == 3,
            "decoded": len(chunks) == 3 and all(stored.result for stored in chunks),
            "done": False,
        }[step]
    )


def _check_ends(path: Path) -> None:
    """Transcript, final event and delivery are there with the status, all four or none."""
    ends = {job_id for (job_id,) in query(path, "SELECT id FROM jobs WHERE status = 'done'")}
    assert {job_id for (job_id,) in query(path, "SELECT job_id FROM results")} == ends
    assert {job_id for (job_id,) in query(path, "SELECT job_id FROM events WHERE type = 'done'")} == ends
    assert {job_id for (job_id,) in query(path, "SELECT job_id FROM deliveries WHERE status = 'pending'")} == ends
    assert not [job_id for (job_id,) in query(path, "SELECT DISTINCT job_id FROM chunks") if job_id in ends]


# Full


def test_a_full_disk_is_said_so_and_leaves_the_store_as_it_was(store: JobStore, path: Path, clock: Clock) -> None:
    add(store, new_job("a", clock, webhook_url="http://hooks.test/"))
    store.claim("a", 60)
    store.add_chunks("a", 1, plan(2))
    before = dump(path)
    transcript = b"[" + b"x" * 5_000_000 + b"]"

    with file_size_limit(1_000_000), pytest.raises(StorageFull, match="free some space"):
        store.publish_done("a", 1, transcript, language="en", duration_secs=1.0)

    assert dump(path) == before
    assert store.publish_done("a", 1, transcript, language="en", duration_secs=1.0)
    assert store.get_result("a") == transcript


# Bytes that the WAL may still grow: none, part of a frame's head, a frame, several.
ROOM = (0, 1, 24, 32, 2000, 4152, 9000, 13_000)

# What a job meets, in order; each changes something.
WRITES: dict[str, Callable[[JobStore, Outbox, Clock], object]] = {
    "add_job": lambda store, outbox, clock: add(store, new_job("a", clock, webhook_url="http://hooks.test/")),
    "claim": lambda store, outbox, clock: store.claim("a", 60),
    "renew": lambda store, outbox, clock: store.renew("a", 1, 90),
    "add_chunks": lambda store, outbox, clock: store.add_chunks("a", 1, plan(3)),
    "plan_complete": lambda store, outbox, clock: store.plan_complete("a", 1, chunks_total=3, duration_secs=1.0),
    "store_language": lambda store, outbox, clock: store.store_results(
        [Decoded(job_id="a", attempt=1, index=None, result=None, language="en", detected={"language": "en"})]
    ),
    "store_results": lambda store, outbox, clock: store.store_results(
        [Decoded(job_id="a", attempt=1, index=index, result=b"r" * 3000) for index in range(3)]
    ),
    "count_crashes": lambda store, outbox, clock: store.count_crashes([("a", 1, 1)]),
    "publish_failed": lambda store, outbox, clock: store.publish_failed("a", 1, "code", "why"),
    "retry_at": lambda store, outbox, clock: outbox.retry_at("msg_a", clock(), "no answer"),
    "retry": lambda store, outbox, clock: store.retry("a"),
    "claim again": lambda store, outbox, clock: store.claim("a", 60),
    "publish_done": lambda store, outbox, clock: store.publish_done(
        "a", 2, b"t" * 20_000, language="en", duration_secs=1.0
    ),
    "add_delivery": lambda store, outbox, clock: outbox.add("msg_b", "http://hooks.test/", "model_ready", b"{}"),
    "delivered": lambda store, outbox, clock: outbox.delivered("msg_b"),
    "purge_deliveries": lambda store, outbox, clock: outbox.purge(clock()),
    "purge": lambda store, outbox, clock: store.purge("a"),
}


def test_every_write_may_meet_a_full_disk(
    database: Database, full: list[None], store: JobStore, outbox: Outbox, path: Path, clock: Clock
) -> None:
    """Wherever it happens, nothing has changed, and the same call does its work once there is room."""
    wal, met = path.with_name("scrivano.db-wal"), 0
    for name, write in WRITES.items():
        done = False
        for room in ROOM:
            before = dump(path)
            with file_size_limit(wal.stat().st_size + room):
                try:
                    write(store, outbox, clock)
                    done = True
                except StorageFull:
                    met += 1
            assert (dump(path) == before) is not done, name
            if done:
                break
        if not done:
            write(store, outbox, clock)
    database.close()

    assert met == len(full) > 3 * len(WRITES)
    assert query(path, "PRAGMA integrity_check") == [("ok",)]
    assert query(path, "SELECT count(*) FROM jobs") == [(0,)]


# Many threads


def test_readers_see_whole_commits_while_others_write(store: JobStore, clock: Clock) -> None:
    writers, rounds = 4, 30
    for number in range(writers):
        add(store, new_job(f"job-{number}", clock))
        store.claim(f"job-{number}", 600)
        store.add_chunks(f"job-{number}", 1, plan(rounds))
    over = threading.Event()

    with ThreadPoolExecutor(2 * writers) as threads:
        reading = [threads.submit(_watch, store, f"job-{number}", over) for number in range(writers)]
        writing = [threads.submit(_decode_all, store, f"job-{number}", rounds) for number in range(writers)]
        for future in writing:
            future.result()
        over.set()
        looks = [future.result() for future in reading]

    assert min(looks) > 0
    for number in range(writers):
        assert [event.seq for event in store.events_after(f"job-{number}", 0)] == list(range(1, rounds + 1))


def _decode_all(store: JobStore, job_id: str, rounds: int) -> None:
    for index in range(rounds):
        progress = {"percent": index + 1, "chunk": index + 1, "chunks_total": rounds}
        assert store.store_results(
            [Decoded(job_id=job_id, attempt=1, index=index, result=b"[]", progress=progress)]
        ) == [True]


def _watch(store: JobStore, job_id: str, over: threading.Event) -> int:
    """Look until it is over; what was seen never goes back, and a result is there before its event."""
    looks = percent = 0
    while True:
        last = over.is_set()
        events = store.events_after(job_id, 0)
        progress = store.get_job(job_id).progress
        results = sum(stored.result is not None for stored in store.chunks(job_id))
        assert percent <= len(events) <= progress <= results
        percent = progress
        looks += 1
        if last:
            return looks


def test_one_log_is_numbered_without_gaps_by_many_writers(store: JobStore, clock: Clock) -> None:
    add(store, new_job("a", clock))
    store.claim("a", 600)

    def tell(n: int) -> list[bool]:
        return store.store_results([Decoded(job_id="a", attempt=1, index=None, result=None, segments=[{"n": n}])])

    with ThreadPoolExecutor(8) as threads:
        assert all(accepted == [True] for accepted in threads.map(tell, range(80)))

    events = store.events_after("a", 0)
    assert [event.seq for event in events] == list(range(1, 81))
    assert {event.data["n"] for event in events} == {*range(80)}


def test_one_attempt_wins_the_claim(store: JobStore, clock: Clock) -> None:
    add(store, new_job("a", clock))

    with ThreadPoolExecutor(8) as threads:
        claims = list(threads.map(lambda n: store.claim("a", 600), range(16)))

    assert [job.attempt for job in claims if job] == [1]


# Deleted


def test_what_is_deleted_is_not_in_the_file(path: Path, clock: Clock) -> None:
    """Vectors of voices are biometric data."""
    vectors = [bytes([number]) * 768 for number in range(1, 13)]
    with opened(path, clock) as store:
        for number, vector in enumerate(vectors):
            store.add_voice(f"{number}", None, "Ada", vector)
        for number in range(len(vectors)):
            store.delete_voice(f"{number}", None)

    assert not path.with_name(f"{path.name}-wal").exists()
    data = path.read_bytes()
    assert not [vector for vector in vectors if vector[:48] in data]
