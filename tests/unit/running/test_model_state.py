from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from scrivano.running.model_state import (
    Action,
    Announce,
    Died,
    LacksMemory,
    Life,
    LifeEvent,
    Load,
    Loaded,
    LoadFailed,
    ModelState,
    Placed,
    Policy,
    Queued,
    StartEngine,
    StopEngine,
    Tick,
    Unload,
    next_deadline,
    payload,
    retry_in_secs,
    step,
)

AT = datetime(2026, 1, 31, tzinfo=UTC)
POLICY = Policy(idle_timeout_s=300, poll_interval_s=30, unload_hold_s=60)
QUIET = Tick(work_waiting=False, in_flight=False, in_use=False)
WORK = Tick(work_waiting=True, in_flight=False, in_use=False)
BUSY = Tick(work_waiting=False, in_flight=True, in_use=False)
UPLOADING = Tick(work_waiting=False, in_flight=False, in_use=True)


def live(*history: tuple[float, LifeEvent]) -> tuple[Life, list[Action]]:
    """Where a new life stands after `(time, event)`s, and all that was to be done."""
    life, done = Life(), list[Action]()
    for now, event in history:
        life, actions = step(life, event, now=now, policy=POLICY)
        done += actions
    return life, done


READY = ((0.0, Load()), (1.0, Loaded(AT)))


def test_a_load_goes_through_loading_to_ready() -> None:
    life, done = live(*READY)

    assert life.state is ModelState.READY
    assert life.loaded_at == AT
    assert done == [Announce("model_loading"), StartEngine(), Announce("model_ready")]


def test_a_second_load_changes_nothing() -> None:
    assert live((0, Load()), (1, Load()))[1] == live((0, Load()))[1]
    assert live(*READY, (2, Load()))[0].state is ModelState.READY


def test_a_load_without_memory_waits_and_tries_again() -> None:
    waiting, done = live((0, Load()), (1, LacksMemory(3951, 512)))

    assert waiting.state is ModelState.WAITING_FOR_GPU
    assert (waiting.vram_needed_mb, waiting.vram_free_mb, waiting.retry_at) == (3951, 512, 31)
    assert done[-2:] == [StopEngine(), Announce("model_waiting_for_gpu")]
    assert step(waiting, QUIET, now=30.9, policy=POLICY) == (waiting, ())
    again, actions = step(waiting, QUIET, now=31, policy=POLICY)
    assert again.state is ModelState.LOADING
    assert actions == (Announce("model_loading"), StartEngine())


def test_a_model_knows_since_when_it_lacks_memory() -> None:
    waiting, _ = live((0, Load()), (1, LacksMemory(3951, 512)), (31, QUIET), (33, LacksMemory(3951, 600)))
    loading, _ = step(waiting, QUIET, now=63, policy=POLICY)
    ready, _ = step(loading, Loaded(AT), now=64, policy=POLICY)

    assert [life.lacking_since for life in (waiting, loading, ready)] == [1, 1, None]
    assert (loading.vram_needed_mb, loading.vram_free_mb) == (3951, 600)


def test_running_out_of_memory_in_the_middle_of_work_waits_too() -> None:
    assert live(*READY, (2, LacksMemory(3951, 0)))[0].state is ModelState.WAITING_FOR_GPU


def test_an_idle_model_unloads_after_its_time() -> None:
    idle, _ = live(*READY, (10, QUIET))
    assert next_deadline(idle) == 310
    assert step(idle, QUIET, now=309, policy=POLICY)[0].state is ModelState.READY

    life, actions = step(idle, QUIET, now=310, policy=POLICY)

    assert life == Life()
    assert actions == (StopEngine(), Announce("model_unloaded"))


def test_work_and_uploads_start_the_idle_time_anew() -> None:
    for use in (WORK, BUSY, UPLOADING):
        life, _ = live(*READY, (10, QUIET), (300, use), (311, QUIET), (610, QUIET))
        assert life.state is ModelState.READY


def test_idle_time_zero_never_unloads() -> None:
    life, _ = live(*READY)
    life, _ = step(life, QUIET, now=1, policy=Policy(idle_timeout_s=0))
    assert step(life, QUIET, now=1e9, policy=Policy(idle_timeout_s=0))[0].state is ModelState.READY


def test_an_unload_lets_the_batch_in_flight_end() -> None:
    draining, done = live(*READY, (2, Unload()), (3, BUSY))
    assert draining.state is ModelState.READY
    assert StopEngine() not in done

    life, actions = step(draining, WORK, now=4, policy=POLICY)

    assert life.state is ModelState.UNLOADED
    assert actions == (StopEngine(), Announce("model_unloaded"))


def test_after_an_unload_waiting_work_leaves_others_their_chance_at_the_memory() -> None:
    life, _ = live(*READY, (2, Unload()), (3, BUSY), (20, WORK), (79.9, WORK))
    assert life.state is ModelState.UNLOADED
    assert retry_in_secs(life, now=79.5) == 1
    assert step(life, WORK, now=80, policy=POLICY)[0].state is ModelState.LOADING


def test_after_an_unload_a_request_loads_the_model_at_once() -> None:
    life, _ = live(*READY, (2, Unload()), (3, WORK), (4, Load()))
    assert life.state is ModelState.LOADING
    assert retry_in_secs(life, now=4) is None


def test_a_load_takes_back_an_unload_that_still_drains() -> None:
    life, _ = live(*READY, (2, Unload()), (3, Load()), (4, WORK))
    assert life.state is ModelState.READY


def test_an_unload_ends_loading_and_waiting_at_once() -> None:
    for history in (((0, Load()),), ((0, Load()), (1, LacksMemory(1, 0)))):
        life, done = live(*history, (2, Unload()))
        assert life.state is ModelState.UNLOADED
        assert done[-2:] == [StopEngine(), Announce("model_unloaded")]


def test_an_unload_of_nothing_does_nothing() -> None:
    assert live((0, Unload()))[1] == []


def test_a_failed_load_says_why_and_is_tried_again_ever_more_rarely() -> None:
    life, _ = live((0, Load()), (1, LoadFailed("no such model")))
    assert (life.state, life.last_error) == (ModelState.UNLOADED, "no such model")
    assert step(life, WORK, now=1.9, policy=POLICY)[0].state is ModelState.UNLOADED
    again, _ = step(life, WORK, now=2, policy=POLICY)
    assert again.state is ModelState.LOADING
    failed, _ = step(again, LoadFailed("no such model"), now=3, policy=POLICY)
    assert failed.hold_until == 5
    assert step(failed, Loaded(AT), now=3, policy=POLICY) == (failed, ())
    assert step(failed, Load(), now=3, policy=POLICY)[0].state is ModelState.LOADING


def test_a_successful_load_forgets_the_failures() -> None:
    life, _ = live((0, Load()), (1, LoadFailed("x")), (2, Load()), (3, Loaded(AT)))
    assert (life.failures, life.last_error) == (0, None)


def test_a_dead_engine_is_unloaded_and_work_loads_it_again_at_once() -> None:
    life, done = live(*READY, (2, Died("signal SIGSEGV")))
    assert life.state is ModelState.UNLOADED
    assert done[-1] == Announce("model_unloaded")
    assert step(life, WORK, now=2, policy=POLICY)[0].state is ModelState.LOADING


EVENTS = st.one_of(
    st.sampled_from([Load(), Unload(), Loaded(AT), LacksMemory(2, 1), Queued(2), Placed(), LoadFailed("x"), Died("x")]),
    st.builds(Tick, st.booleans(), st.booleans(), st.booleans()),
)


@given(st.lists(st.tuples(st.floats(0, 100), EVENTS)))
def test_in_any_history_an_engine_runs_exactly_while_queued_loading_or_ready(
    history: list[tuple[float, LifeEvent]],
) -> None:
    life, now, running = Life(), 0.0, False
    for pause, event in history:
        now += pause
        before = life.state
        life, actions = step(life, event, now=now, policy=POLICY)
        for action in actions:
            if action == StartEngine():
                assert not running
                running = True
            if action == StopEngine():
                running = False
        assert running == (life.queued or life.state in (ModelState.LOADING, ModelState.READY))
        announced = [action for action in actions if isinstance(action, Announce)]
        assert bool(announced) == (life.state is not before)


QUEUED = ((0.0, Load()), (1.0, Queued(4000)))


def test_an_engine_without_a_place_waits_and_is_not_started_again() -> None:
    waiting, done = live(*QUEUED, (2, Queued(4000)), (100, WORK), (101, Queued(4000)))

    assert waiting.state is ModelState.WAITING_FOR_GPU
    assert (waiting.vram_needed_mb, waiting.lacking_since, waiting.retry_at) == (4000, 1, 131)
    assert done == [Announce("model_loading"), StartEngine(), Announce("model_waiting_for_gpu")]
    assert "ENGINE_CPUS" in payload("model_waiting_for_gpu", waiting, now=102)["missing"]
    lacking, _ = live((0, Load()), (1, LacksMemory(4000, 512)))
    assert "missing" not in payload("model_waiting_for_gpu", lacking, now=2)


def test_an_engine_that_has_a_place_loads() -> None:
    life, done = live(*QUEUED, (5, Placed()), (9, Loaded(AT)))

    assert (life.state, life.queued, life.lacking_since) == (ModelState.READY, False, None)
    assert done[-2:] == [Announce("model_loading"), Announce("model_ready")]


def test_an_engine_without_a_place_ends_at_an_unload_and_when_nobody_needs_it() -> None:
    unloaded, done = live(*QUEUED, (2, Unload()))
    assert unloaded.state is ModelState.UNLOADED
    assert done[-2:] == [StopEngine(), Announce("model_unloaded")]

    waiting, _ = live(*QUEUED, (2, QUIET), (301, QUIET))
    assert waiting.state is ModelState.WAITING_FOR_GPU
    assert step(waiting, QUIET, now=302, policy=POLICY)[1] == (StopEngine(), Announce("model_unloaded"))
    assert step(waiting, WORK, now=302, policy=POLICY)[1] == ()


def test_an_engine_that_cannot_be_placed_has_failed() -> None:
    failed, done = live(*QUEUED, (2, LoadFailed("the node lacks a library")))

    assert (failed.state, failed.failures, failed.queued) == (ModelState.UNLOADED, 1, False)
    assert StopEngine() in done
