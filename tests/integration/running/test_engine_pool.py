"""Several models and devices behind one runner, with engine children that do as they are told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from runner_bench import SECOND, TEXTS, Bench, bench
from served import until

from scrivano.domain.job import JobStatus
from scrivano.processes.messages import Load
from scrivano.running.engine_slot import ModelSpec
from scrivano.running.model_state import ModelState, Policy

POLICY = Policy(poll_interval_s=0.2, unload_hold_s=0.2)
USUAL = ModelSpec(name="usual", load=Load(model="usual"), policy=POLICY, needed_mb=4000)
OTHER = ModelSpec(name="other", load=Load(model="other"), policy=POLICY, needed_mb=3000)
TWO = {"models": [USUAL, OTHER]}
MANY = [[n * SECOND, (n + 1) * SECOND] for n in range(40)]


def states(it: Bench) -> dict[str, ModelState]:
    return {name: status.life.state for name, status in it.runner.models.items()}


def loads(it: Bench) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (it.folder / "load messages").read_text().splitlines()]


def test_each_job_is_decoded_by_the_model_that_it_names(tmp_path: Path) -> None:
    with bench(tmp_path, options=TWO) as it:
        usual, other = it.submit(), it.submit(options={"model": "other"})

        assert it.ended(usual).status is it.ended(other).status is JobStatus.DONE
        assert it.texts(usual) == it.texts(other) == TEXTS
        assert states(it) == {"usual": ModelState.READY, "other": ModelState.READY}
        assert sorted(load["model"] for load in loads(it)) == ["other", "usual"]
        assert [type for type, _ in it.announced] == ["model_loading", "model_ready"]


def test_a_model_that_is_no_longer_served_gives_way_to_the_usual_one(tmp_path: Path) -> None:
    with bench(tmp_path) as it:
        assert it.ended(it.submit(options={"model": "gone"})).status is JobStatus.DONE


def test_the_model_that_was_idle_for_longest_makes_room(tmp_path: Path) -> None:
    third = ModelSpec(name="third", load=Load(model="third"), policy=POLICY, needed_mb=3000)
    with bench(tmp_path, options={"models": [USUAL, OTHER, third]}) as it:
        it.ended(it.submit(options={"model": "other"}))
        it.ended(it.submit())
        # Enough as soon as one of the two has gone: were it not, the other one would go, too.
        it.memory.free_mb = lambda: 4000 if ModelState.UNLOADED in (states(it)["usual"], states(it)["other"]) else 1000
        job = it.submit(options={"model": "third"})

        assert it.ended(job).status is JobStatus.DONE
        assert states(it) == {
            "usual": ModelState.READY,
            "other": ModelState.UNLOADED,
            "third": ModelState.READY,
        }


def test_a_model_at_work_does_not_make_room(tmp_path: Path) -> None:
    with bench(tmp_path, options={**TWO, "batch_size": 1}, decode=["slow"]) as it:
        long = it.submit(MANY)
        until(lambda: it.store.get_job(long).progress > 0)
        it.memory.free_mb = 1000
        short = it.submit(options={"model": "other"})
        until(lambda: states(it)["other"] is ModelState.WAITING_FOR_GPU)

        assert it.ended(long).status is JobStatus.DONE
        assert not it.store.get_job(short).status.terminal
        until(lambda: states(it)["usual"] is ModelState.UNLOADED)
        it.memory.free_mb = 8000
        assert it.ended(short).status is JobStatus.DONE


def test_unloading_one_model_leaves_the_other(tmp_path: Path) -> None:
    with bench(tmp_path, options=TWO) as it:
        it.runner.load("usual")
        it.runner.load("other")
        until(lambda: set(states(it).values()) == {ModelState.READY})

        it.runner.unload("other")
        until(lambda: states(it)["other"] is ModelState.UNLOADED)
        assert states(it)["usual"] is ModelState.READY
        it.runner.unload()
        until(lambda: set(states(it).values()) == {ModelState.UNLOADED})


def test_each_model_stays_for_its_own_time(tmp_path: Path) -> None:
    brief = ModelSpec(name="brief", policy=Policy(idle_timeout_s=0.1, poll_interval_s=0.2))
    with bench(tmp_path, options={"models": [USUAL, brief]}) as it:
        it.runner.load()
        it.ended(it.submit(options={"model": "brief"}))

        until(lambda: states(it) == {"usual": ModelState.READY, "brief": ModelState.UNLOADED})


def test_two_gpus_share_one_jobs_chunks(tmp_path: Path) -> None:
    with bench(tmp_path, options={"gpus": [0, 1], "batch_size": 1}, decode=["slow"]) as it:
        # One engine could be done before the other one has started.
        it.runner.load()
        until(lambda: it.runner.model.devices == {0: ModelState.READY, 1: ModelState.READY})
        job = it.submit(MANY)

        assert it.ended(job).status is JobStatus.DONE
        assert len(it.texts(job)) == len(MANY)
        assert sorted(load["device_index"] for load in loads(it)) == [0, 1]
        assert len(set((tmp_path / "processes").read_text().split())) == 2
        assert [type for type, _ in it.announced] == ["model_loading", "model_ready"]


@pytest.mark.parametrize(
    ("load", "said"),
    [("model", "ordered to fail with model"), ("crash", "the engine ended with signal SIGSEGV")],
)
def test_a_load_that_fails_names_the_node(tmp_path: Path, load: str, said: str) -> None:
    with bench(tmp_path, options={"gpus": [], "engines": 1}, node="10.0.0.7", load=[load]) as it:
        it.runner.load()

        until(lambda: it.runner.model.life.last_error)
        assert it.runner.model.life.last_error == f"node 10.0.0.7: {said}"


@pytest.mark.parametrize("fault", ["crash", "hang", "memory", "input", "device", "nonsense"])
def test_batches_that_waited_behind_a_bad_one_are_decoded(tmp_path: Path, fault: str) -> None:
    with bench(tmp_path, options={"in_flight": 3, "batch_size": 2}, decode=["ok", "ok", fault, "ok"]) as it:
        job = it.submit(MANY)
        if fault == "hang":
            until(lambda: len(it.batches) == 3)
            it.let_time_pass()

        assert it.ended(job).status is JobStatus.DONE
        assert it.texts(job) == [f"from {start}" for start, _ in MANY]


def test_no_more_chunks_go_to_a_device_than_its_memory_holds(tmp_path: Path) -> None:
    spec = ModelSpec(name="usual", policy=POLICY, window_mb=3000)
    with bench(tmp_path, options={"models": [spec], "batch_size": 16}) as it:
        it.ended(it.submit(MANY))

        assert max(map(len, it.batches)) == 2  # nine tenths of 8000 MB


def test_batches_are_short_while_there_is_urgent_work(tmp_path: Path) -> None:
    with bench(tmp_path, options={"batch_size": 8}, secs=0.6, decode=["slow"]) as it:
        it.ended(it.submit(MANY))
        assert max(map(len, it.batches)) == 8
        before = len(it.batches)

        it.ended(it.submit(options={"priority": "interactive"}))
        it.ended(it.submit(MANY))

        # Of 0.6 s each, two chunks fit into 1.5 s.
        assert max(len(batch) for batch in it.batches[before + 3 :]) == 2


def test_without_urgent_work_a_batch_is_bounded_too(tmp_path: Path) -> None:
    with bench(tmp_path, options={"batch_size": 8}, secs=2.0) as it:
        it.ended(it.submit(MANY))

        assert max(map(len, it.batches)) == 3  # of 2 s each, in 6 s


BESIDE = {"urgent_slot": True, "batch_size": 8}


def test_a_clip_is_decoded_beside_a_batch_that_takes_long(tmp_path: Path) -> None:
    with bench(tmp_path, options=BESIDE, decode=["hang", "ok"]) as it:
        long = it.submit(MANY)
        until(lambda: it.batches)

        clips = [it.submit([[0, SECOND]]) for _ in range(3)]

        assert {it.ended(clip).status for clip in clips} == {JobStatus.DONE}
        assert it.store.get_job(long).status is JobStatus.RUNNING


def test_a_call_of_many_chunks_takes_its_place_beside_in_short_batches(tmp_path: Path) -> None:
    with bench(tmp_path, options=BESIDE, secs=0.6, decode=["ok", "hang", "ok"]) as it:
        it.ended(it.submit([[0, SECOND]]))  # tells the pace: two chunks fit into 1.5 s
        it.submit(MANY)
        until(lambda: len(it.batches) == 2)

        call = it.submit(MANY, options={"priority": "interactive"})

        assert it.ended(call).status is JobStatus.DONE
        assert max(len(batch) for batch in it.batches[2:]) == 2


def test_what_hangs_beside_a_batch_is_found_out(tmp_path: Path) -> None:
    with bench(tmp_path, options=BESIDE, decode=["hang", "ok"]) as it:
        clip = it.submit([[0, SECOND]])  # an idle engine decodes it beside nothing
        until(lambda: it.batches)
        it.let_time_pass()

        assert it.ended(clip).status is JobStatus.DONE
        assert len(it.batches) == 2


def test_of_two_batches_that_an_engine_died_over_only_the_guilty_one_fails(tmp_path: Path) -> None:
    with bench(tmp_path, options=BESIDE, decode=["hang", "ok"], poison=[MANY[5]]) as it:
        # Surely beside the long one: an idle engine may take a clip before it is known to be one.
        clip = it.submit([[0, SECOND]], options={"priority": "interactive"})
        until(lambda: it.batches)
        long = it.submit(MANY)
        others = [it.submit([[n * SECOND, (n + 1) * SECOND]]) for n in range(3)]

        assert it.ended(long).error_code == "engine_crashed"
        assert {it.ended(job).status for job in (clip, *others)} == {JobStatus.DONE}


def test_clips_without_end_do_not_keep_a_suspect_from_its_turn(tmp_path: Path) -> None:
    with bench(tmp_path, options=BESIDE, decode=["slow"], poison=[MANY[5]]) as it:
        long = it.submit(MANY[:8])
        clips = [it.submit([[0, SECOND]]) for _ in range(3)]
        while not it.store.get_job(long).status.terminal:
            it.ended(clips[-1])
            clips.append(it.submit([[0, SECOND]]))

        assert it.ended(long).error_code == "engine_crashed"
        assert {it.ended(clip).status for clip in clips} == {JobStatus.DONE}


def test_a_batch_yields_where_urgent_work_came_lately(tmp_path: Path) -> None:
    with bench(tmp_path, options=BESIDE) as it:
        it.ended(it.submit(MANY))
        it.ended(it.submit([[0, SECOND]], options={"priority": "interactive"}))  # as above
        before = len(it.batches)
        it.ended(it.submit(MANY))

        options = [json.loads(line) for line in (tmp_path / "options").read_text().splitlines()]
        assert {one.get("yielding", False) for one in options[: before - 1]} == {False}
        assert {one.get("yielding", False) for one in options[before:]} == {True}


def test_in_a_cluster_engines_start_as_work_waits(tmp_path: Path) -> None:
    with bench(tmp_path, options={"engines": 3, "batch_size": 1}, decode=["slow"]) as it:
        assert it.ended(it.submit([[0, SECOND]])).status is JobStatus.DONE
        assert [engine.state for engine in it.runner.model.engines] == [ModelState.READY]

        long = it.submit(MANY)
        until(lambda: [engine.state for engine in it.runner.model.engines] == [ModelState.READY] * 3)

        assert it.ended(long).status is JobStatus.DONE
        it.runner.unload()
        until(lambda: not it.runner.model.engines)


def test_chunks_whose_audio_cannot_be_read_now_are_given_out_again(tmp_path: Path) -> None:
    with bench(tmp_path, decode=["storage", "storage", "ok"]) as it:
        job_id = it.submit()

        assert it.ended(job_id).status is JobStatus.DONE
        assert it.texts(job_id) == TEXTS
        assert len(set((tmp_path / "processes").read_text().split())) == 1


def test_a_node_on_which_every_engine_crashes_fails_no_job_while_another_one_is_ready(tmp_path: Path) -> None:
    options = {"engines": 2, "batch_size": 1}
    with bench(tmp_path, options=options, decode=["slow"], nodes=["good", "bad"]) as it:
        before = it.submit(MANY)
        until(lambda: [engine.state for engine in it.runner.model.engines] == [ModelState.READY] * 2)
        (tmp_path / "bad node").write_text("bad")
        jobs = [before, *(it.submit(MANY[:10]) for _ in range(4))]

        assert {it.ended(job).status for job in jobs} == {JobStatus.DONE}
        assert len((tmp_path / "places").read_bytes()) > 2
