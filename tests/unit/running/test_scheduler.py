from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from scrivano.domain.decoding import DecodingOptions
from scrivano.domain.job import Priority
from scrivano.running.ageing import TURNS
from scrivano.running.scheduler import SHORT_BATCHES, Scheduler, WorkItem

INTERACTIVE, NORMAL, BULK = Priority
GROUPS = st.sampled_from(["", "beam 1", "hot words"])


def items(
    job_id: str, count: int, seconds: float = 28.0, *, group: str = "", priority: Priority = NORMAL
) -> list[WorkItem]:
    return [
        WorkItem(job_id, index, seconds, options=DecodingOptions(initial_prompt=group), priority=priority)
        for index in range(count)
    ]


def test_one_job_leaves_in_order() -> None:
    scheduler = Scheduler()
    scheduler.add(items("a", 5))

    assert scheduler.next_batch(3) + scheduler.next_batch(3) == items("a", 5)
    assert scheduler.next_batch(3) == []


def test_a_clip_is_in_the_next_batch_however_long_the_other_job_is() -> None:
    scheduler = Scheduler()
    scheduler.add(items("long", 1000))
    scheduler.next_batch(4)
    scheduler.add(items("clip", 1, seconds=10))

    assert "clip" in {item.job_id for item in scheduler.next_batch(4)}


def test_the_number_of_chunks_of_a_clip_follows_from_their_length() -> None:
    for short_chunks, urgent in ((2, []), (4, items("clip", 4, seconds=15))):
        scheduler = Scheduler(separate_urgent=True, short_chunks=short_chunks)
        scheduler.add(items("long", 1000))
        scheduler.add(items("clip", 4, seconds=15))
        scheduler.complete("clip")

        assert scheduler.next_urgent(8, 8) == urgent


def test_jobs_share_by_seconds_not_by_chunks() -> None:
    scheduler = Scheduler()
    scheduler.add(items("short chunks", 40, seconds=10))
    scheduler.add(items("long chunks", 40, seconds=30))

    taken = [item for _ in range(10) for item in scheduler.next_batch(4)]

    seconds = {
        job: sum(item.seconds for item in taken if item.job_id == job) for job in ("short chunks", "long chunks")
    }
    assert abs(seconds["short chunks"] - seconds["long chunks"]) <= 60


def test_a_suspect_is_alone_in_its_batch() -> None:
    scheduler = Scheduler()
    scheduler.add(items("a", 2))
    suspect = WorkItem("b", 0, 28.0, alone=True)
    scheduler.add([suspect])
    scheduler.add(items("c", 2))

    batches = []
    while batch := scheduler.next_batch(4):
        batches.append(batch)

    assert [suspect] in batches
    assert sum(len(batch) for batch in batches) == 5


def test_what_was_put_back_comes_first_and_in_order() -> None:
    scheduler = Scheduler()
    scheduler.add(items("a", 5))
    batch = scheduler.next_batch(3)

    scheduler.put_back(batch)

    assert scheduler.next_batch(5) == items("a", 5)


def test_a_removed_job_is_gone() -> None:
    scheduler = Scheduler()
    scheduler.add(items("a", 2))
    scheduler.add(items("b", 2))

    scheduler.remove("a")
    scheduler.remove("never seen")

    assert scheduler.next_batch(9) == items("b", 2)
    assert scheduler.next_batch(9) == []


@given(
    arrivals=st.lists(st.tuples(st.sampled_from("abcd"), st.integers(1, 6), st.floats(0.1, 30)), max_size=20),
    limit=st.integers(1, 8),
    data=st.data(),
)
def test_nothing_is_lost_repeated_or_reordered(
    arrivals: list[tuple[str, int, float]], limit: int, data: st.DataObject
) -> None:
    scheduler, given_out, counts = Scheduler(), list[WorkItem](), dict.fromkeys("abcd", 0)
    for job_id, count, seconds in arrivals:
        scheduler.add(WorkItem(job_id, counts[job_id] + n, seconds) for n in range(count))
        counts[job_id] += count
        batch = scheduler.next_batch(limit)
        if data.draw(st.booleans()):
            scheduler.put_back(batch)
        else:
            given_out += batch
    while batch := scheduler.next_batch(limit):
        assert len(batch) <= limit
        given_out += batch

    for job_id, count in counts.items():
        assert [item.index for item in given_out if item.job_id == job_id] == list(range(count))


@given(others=st.integers(1, 12), limit=st.integers(1, 8), seconds=st.floats(1, 30))
def test_a_new_clip_waits_for_no_more_than_one_window_of_each_other_job(
    others: int, limit: int, seconds: float
) -> None:
    scheduler = Scheduler()
    for job in range(others):
        scheduler.add(items(f"long {job}", 100, seconds))
    scheduler.next_batch(limit)
    scheduler.add(items("clip", 1, seconds=5))

    before, waited = 0.0, list[WorkItem]()
    while "clip" not in {item.job_id for item in waited}:
        waited = scheduler.next_batch(limit)
        before += sum(item.seconds for item in waited if item.job_id != "clip")

    # Each other job spends at most its quantum, overdraws by less than a chunk, and fills up the clip's batch.
    assert before <= others * 60 + limit * 30


# Groups and priorities -------------------------------------------------------------------------------------------


def test_a_batch_is_of_one_group_and_the_others_keep_their_turns() -> None:
    scheduler = Scheduler()
    scheduler.add(items("a", 2, 30, group="x") + items("b", 1, 30, group="y") + items("c", 1, 30, group="x"))

    batches = [[item.job_id for item in scheduler.next_batch(9)] for _ in range(2)]

    assert batches == [["a", "c", "a"], ["b"]]


def test_what_is_urgent_goes_first_and_the_rest_fills_the_batch() -> None:
    scheduler = Scheduler()
    scheduler.add(items("bulk", 9, priority=BULK))
    scheduler.add(items("normal", 1))
    scheduler.add(items("call", 2, priority=INTERACTIVE))

    assert [item.job_id for item in scheduler.next_batch(4)] == ["call", "call", "normal", "bulk"]


@given(
    jobs=st.lists(st.tuples(st.sampled_from(Priority), GROUPS, st.integers(1, 6)), min_size=1, max_size=12),
    limit=st.integers(1, 8),
    data=st.data(),
)
def test_batches_of_mixed_jobs_are_full_of_one_group_and_lose_nothing(
    jobs: list[tuple[Priority, str, int]], limit: int, data: st.DataObject
) -> None:
    scheduler, taken = Scheduler(), list[WorkItem]()
    waiting: list[WorkItem] = []
    for number, (priority, group, count) in enumerate(jobs):
        suspects = data.draw(st.booleans())
        chunks = [replace(item, alone=suspects) for item in items(str(number), count, group=group, priority=priority)]
        waiting += chunks
        scheduler.add(chunks)
    while batch := scheduler.next_batch(limit):
        assert len({item.options for item in batch}) == 1
        assert len(batch) == 1 or not any(item.alone for item in batch)
        if len(batch) < limit and not batch[0].alone:
            left = [item for item in waiting if item not in taken and item not in batch]
            assert not [item for item in left if item.options == batch[0].options and not item.alone]
        taken += batch

    assert scheduler.next_batch(9) == []
    for number, (_, _, count) in enumerate(jobs):
        assert [item.index for item in taken if item.job_id == str(number)] == list(range(count))


@given(groups=st.lists(GROUPS, min_size=1, max_size=8), limit=st.integers(1, 8))
def test_no_group_keeps_another_from_its_turn(groups: list[str], limit: int) -> None:
    scheduler = Scheduler()
    for number, group in enumerate(groups):
        scheduler.add(items(f"{number}", 50, seconds=30.0, group=group))

    served = {item.job_id for _ in groups for item in scheduler.next_batch(limit)}

    assert len(served) == len(groups)


@given(
    urgent=st.lists(st.tuples(st.sampled_from([INTERACTIVE, NORMAL]), GROUPS), min_size=1, max_size=6),
    bulk=st.lists(GROUPS, min_size=1, max_size=3),
    limit=st.integers(1, 8),
)
def test_bulk_never_starves(urgent: list[tuple[Priority, str]], bulk: list[str], limit: int) -> None:
    scheduler = Scheduler()
    for number, group in enumerate(bulk):
        scheduler.add(items(f"bulk {number}", 1, seconds=30.0, group=group, priority=BULK))
    served, batches = set[str](), 0
    while len(served) < len(bulk):
        for number, (priority, group) in enumerate(urgent):  # more comes than can be done
            scheduler.add(items(f"{priority} {number}", limit, seconds=30.0, group=group, priority=priority))
        served |= {item.job_id for item in scheduler.next_batch(limit) if item.priority is BULK}
        batches += 1
        assert batches <= len(bulk) * (TURNS[BULK] + 3)


@given(lower=st.lists(st.tuples(st.sampled_from([NORMAL, BULK]), GROUPS), max_size=6), limit=st.integers(1, 8))
def test_a_call_waits_for_no_more_than_the_overdue_batch_of_each_other_class(
    lower: list[tuple[Priority, str]], limit: int
) -> None:
    scheduler, without = Scheduler(), 0
    for number, (priority, group) in enumerate(lower):
        scheduler.add(items(f"{number}", 400, priority=priority, group=group))
    for turn in range(40):
        scheduler.add(items(f"call {turn}", limit, priority=INTERACTIVE))
        called = INTERACTIVE in {item.priority for item in scheduler.next_batch(limit)}
        without = 0 if called else without + 1
        assert without <= 2


def test_a_job_that_is_nearly_done_goes_first_but_not_for_ever() -> None:
    scheduler = Scheduler()
    scheduler.add(items("long", 100))
    for clip in range(20):
        scheduler.add(items(f"clip {clip}", 1, seconds=5))
        scheduler.complete(f"clip {clip}")

    order = [scheduler.next_batch(1)[0].job_id for _ in range(12)]

    assert order[: SHORT_BATCHES + 1] == [*(f"clip {n}" for n in range(SHORT_BATCHES)), "long"]
    assert order.count("long") == 12 // (SHORT_BATCHES + 1)


def test_a_job_of_which_more_may_come_is_not_nearly_done() -> None:
    scheduler = Scheduler()
    scheduler.add(items("long", 100))
    scheduler.add(items("growing", 1))

    assert scheduler.next_batch(1)[0].job_id == "long"


@given(clips=st.integers(1, 30), limit=st.integers(1, 4))
def test_a_long_job_waits_a_bounded_time_behind_jobs_that_are_nearly_done(clips: int, limit: int) -> None:
    scheduler = Scheduler()
    scheduler.add(items("long", 1000))
    waits, waited = [0], 0
    for step in range(clips * (SHORT_BATCHES + 2)):
        for n in range(limit):
            scheduler.add(items(f"clip {step}.{n}", 1))
            scheduler.complete(f"clip {step}.{n}")
        waited = 0 if "long" in {item.job_id for item in scheduler.next_batch(limit)} else waited + 1
        waits.append(waited)

    assert max(waits) <= SHORT_BATCHES


def test_urgent_chunks_are_kept_apart_where_company_costs_them_time() -> None:
    scheduler = Scheduler(separate_urgent=True)
    scheduler.add(items("long", 100))
    scheduler.add(items("clip", 1, seconds=5))
    scheduler.complete("clip")
    scheduler.add(items("call", 1, seconds=5, priority=INTERACTIVE))

    first = scheduler.next_batch(4)
    assert {item.job_id for item in first} == {"call", "clip"}
    assert scheduler.is_urgent(first)
    second = scheduler.next_batch(4)
    assert [item.job_id for item in second] == ["long"] * 4
    assert not scheduler.is_urgent(second)


@given(limit=st.integers(1, 4), calls=st.booleans())
def test_a_long_job_has_its_share_beside_urgent_ones_that_are_kept_apart(limit: int, calls: bool) -> None:
    scheduler = Scheduler(separate_urgent=True)
    scheduler.add(items("long", 1000))
    waited, longest = 0, 0
    for step in range(60):
        for n in range(limit):
            scheduler.add(items(f"{step}.{n}", 1, priority=INTERACTIVE if calls else NORMAL))
            scheduler.complete(f"{step}.{n}")
        waited = 0 if "long" in {item.job_id for item in scheduler.next_batch(limit)} else waited + 1
        longest = max(longest, waited)

    assert longest <= max(SHORT_BATCHES, TURNS[NORMAL])


def test_clips_and_then_calls_go_beside_another_batch() -> None:
    scheduler = Scheduler(separate_urgent=True)
    scheduler.add(items("long", 100))
    assert scheduler.next_urgent(4, 2) == []

    scheduler.add(items("call", 9, priority=INTERACTIVE))
    for clip in ("a", "b", "c"):
        scheduler.add(items(clip, 1, seconds=5))
    assert [item.job_id for item in scheduler.next_urgent(4, 2)] == ["call"] * 2

    for clip in ("a", "b", "c"):
        scheduler.complete(clip)
    assert [item.job_id for item in scheduler.next_urgent(2, 1)] == ["a", "b"]
    assert [item.job_id for item in scheduler.next_urgent(2, 1)] == ["c"]
    assert [item.job_id for item in scheduler.next_urgent(2, 1)] == ["call"]


def test_a_suspect_does_not_go_beside_another_batch() -> None:
    scheduler = Scheduler(separate_urgent=True)
    scheduler.put_back([replace(items("suspect", 1)[0], alone=True)])
    scheduler.complete("suspect")
    scheduler.add(items("clip", 1))
    scheduler.complete("clip")

    assert [item.job_id for item in scheduler.next_urgent(4, 4)] == ["clip"]
    assert scheduler.next_urgent(4, 4) == []
    assert [item.job_id for item in scheduler.next_batch(4)] == ["suspect"]


@given(st.lists(st.tuples(st.sampled_from(Priority), st.integers(1, 4), GROUPS), max_size=12), st.integers(1, 5))
def test_two_places_lose_nothing_and_mix_no_groups(jobs: list[tuple[Priority, int, str]], limit: int) -> None:
    scheduler = Scheduler(separate_urgent=True)
    given_in = []
    for number, (priority, count, group) in enumerate(jobs):
        chunks = items(f"{number}", count, group=group, priority=priority)
        given_in += chunks
        scheduler.add(chunks)
        scheduler.complete(f"{number}")
    taken = []
    while batch := [*scheduler.next_urgent(limit, 1), *scheduler.next_batch(limit)]:
        taken += batch

    assert sorted((one.job_id, one.index) for one in taken) == sorted((one.job_id, one.index) for one in given_in)
    for number in range(len(jobs)):
        own = [one.index for one in taken if one.job_id == f"{number}"]
        assert own == sorted(own)


def test_a_job_s_first_chunks_are_not_kept_waiting_for_a_whole_batch() -> None:
    scheduler = Scheduler(separate_urgent=True)
    scheduler.add(items("a", 20))

    assert [len(scheduler.next_batch(8, 6)) for _ in range(4)] == [2, 2, 6, 6]
