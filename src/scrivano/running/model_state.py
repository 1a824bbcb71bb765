"""The life of a model as a pure state machine: events in, actions out, no clock and no process inside.

    unloaded ──Load──► loading ──Loaded──► ready ──idle, Unload, Died──► unloaded
                        │   ▲                │
            LacksMemory │   │ Tick at        │ LacksMemory
                        ▼   │ retry_at       │
                    waiting_for_gpu ◄────────┘

From `loading`, LoadFailed leads to `unloaded`; Unload does so from every state. An engine that is to run in a cluster
may be Queued there before it is Placed: that is `waiting_for_gpu`, too.

`EnginePool` feeds it and carries out its actions. Times are monotonic seconds, except `loaded_at`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from scrivano.domain.job import utc

# While work waits, a load that failed is tried again after 1 s, 2 s, 4 s, …, at most this.
MAX_BACKOFF_S = 600.0

A_PLACE = (
    "a node with room for an engine: none has free what it asks for (ENGINE_CPUS, ENGINE_GPUS, ENGINE_LABELS);"
    " `ray status` on the head shows what is free"
)


class ModelState(StrEnum):
    UNLOADED = "unloaded"
    LOADING = "loading"
    WAITING_FOR_GPU = "waiting_for_gpu"
    READY = "ready"

    @property
    def rank(self) -> int:
        """The least is the best: of several engines of a model, one that is ready is enough."""
        return (ModelState.READY, ModelState.LOADING, ModelState.WAITING_FOR_GPU, ModelState.UNLOADED).index(self)

    @property
    def event(self) -> str:
        """The type of the event which says that a model has come into this state."""
        return f"model_{self.value}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """`idle_timeout_s` 0: the model never unloads by itself. `unload_hold_s`: how long waiting work leaves the memory
    to others after an unload that was asked for."""

    idle_timeout_s: float = 300.0
    poll_interval_s: float = 30.0
    unload_hold_s: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """The state of the model, and what belongs to it.

    `hold_until`: waiting work does not start a load before this time, so that after an unload that a person asked for
    other programs can take the memory, and a broken load is not tried in a tight loop.
    `unload_pending`: unload as soon as no batch is in the engine. `last_error`: why the last load failed.
    `lacking_since`: since when it has waited for memory, loads that failed in between included; None: it does not.
    `unserved_since`: since when no dispatcher has run that could load it; None: one runs, or none is needed.
    `queued`: it waits for a place in a cluster, with its engine started, and not for memory.
    """

    state: ModelState = ModelState.UNLOADED
    loaded_at: datetime | None = None
    vram_needed_mb: int = 0
    vram_free_mb: int = 0
    retry_at: float = 0.0
    idle_at: float | None = None
    hold_until: float = 0.0
    unload_pending: bool = False
    failures: int = 0
    last_error: str | None = None
    lacking_since: float | None = None
    unserved_since: float | None = None
    queued: bool = False


@dataclass(frozen=True, slots=True)
class Load:
    """A request wants the model now."""


@dataclass(frozen=True, slots=True)
class Unload:
    """A request wants the memory of the model back."""


@dataclass(frozen=True, slots=True)
class Loaded:
    at: datetime


@dataclass(frozen=True, slots=True)
class LacksMemory:
    """Before the load, during it, or during work. `retry_s`: when to try again; None: after the poll interval."""

    needed_mb: int
    free_mb: int
    retry_s: float | None = None


@dataclass(frozen=True, slots=True)
class Queued:
    """The engine is started, and waits until a cluster has a place for it. May come again."""

    needed_mb: int


@dataclass(frozen=True, slots=True)
class Placed:
    """The engine runs now, and loads."""


@dataclass(frozen=True, slots=True)
class LoadFailed:
    """The load ended in an error that is not about memory."""

    message: str


@dataclass(frozen=True, slots=True)
class Died:
    """The engine's process ended while it was ready."""

    message: str


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed.

    `work_waiting`: there are chunks or jobs to decode. `in_flight`: a batch is in the engine. `in_use`: an upload is
    under way, which will be work soon.
    """

    work_waiting: bool
    in_flight: bool
    in_use: bool


LifeEvent = Load | Unload | Loaded | LacksMemory | Queued | Placed | LoadFailed | Died | Tick


@dataclass(frozen=True, slots=True)
class StartEngine:
    """Check the memory, start the engine process and load."""


@dataclass(frozen=True, slots=True)
class StopEngine:
    """Kill the engine process: the one sure way to give all of its memory back."""


@dataclass(frozen=True, slots=True)
class Announce:
    """Publish an event to SSE subscribers and webhooks; its payload is made from `Life`."""

    type: str


Action = StartEngine | StopEngine | Announce


def step(life: Life, event: LifeEvent, *, now: float, policy: Policy) -> tuple[Life, tuple[Action, ...]]:
    """The next `Life`, and what to do, in order. An event that does not fit the state changes nothing."""
    match event:
        case Load():
            return _load(life)
        case Unload():
            return _unload(life, now=now, policy=policy)
        case Tick():
            return _tick(life, event, now=now, policy=policy)
        case Loaded(at) if life.state is ModelState.LOADING:
            ready = Life(state=ModelState.READY, loaded_at=at)
            return ready, (Announce("model_ready"),)
        case LacksMemory(needed_mb, free_mb, retry_s) if life.state in (ModelState.LOADING, ModelState.READY):
            waiting = Life(
                state=ModelState.WAITING_FOR_GPU,
                vram_needed_mb=needed_mb,
                vram_free_mb=free_mb,
                retry_at=now + (policy.poll_interval_s if retry_s is None else retry_s),
                lacking_since=now if life.lacking_since is None else life.lacking_since,
            )
            return waiting, (StopEngine(), Announce("model_waiting_for_gpu"))
        case Queued(needed_mb) if life.state is ModelState.LOADING or life.queued:
            return _queue(life, needed_mb, now=now, policy=policy)
        case Placed() if life.queued:
            return replace(life, state=ModelState.LOADING, queued=False, idle_at=None), (Announce("model_loading"),)
        case LoadFailed(message) if life.state is ModelState.LOADING or life.queued:
            return _failed(life, message, now=now)
        case Died(message) if life.state is ModelState.READY:
            return Life(last_error=message), (StopEngine(), Announce("model_unloaded"))
        case _:
            return life, ()


def next_deadline(life: Life) -> float | None:
    """When the machine needs its next `Tick`, even if nothing else happens; None: at no certain time."""
    if life.state is ModelState.WAITING_FOR_GPU:
        return life.retry_at
    if life.state is ModelState.READY:
        return life.idle_at
    if life.state is ModelState.UNLOADED and life.hold_until:
        return life.hold_until
    return None


def payload(type: str, life: Life, *, now: float) -> dict[str, Any]:
    """The body of a model event, as in the contract."""
    match type:
        case "model_ready":
            return {"type": type, "loaded_at": life.loaded_at and utc(life.loaded_at)}
        case "model_waiting_for_gpu":
            return {"type": type, **waiting(life, now=now)}
        case _:
            return {"type": type}


def waiting(life: Life, *, now: float) -> dict[str, Any]:
    """How much memory the model waits for, and for how long; or that it waits for a place in a cluster."""
    return {
        **({"missing": A_PLACE} if life.queued else {}),
        "vram_needed_mb": life.vram_needed_mb,
        "vram_free_mb": life.vram_free_mb,
        "retry_in_secs": retry_in_secs(life, now=now) or 0,
    }


def retry_in_secs(life: Life, *, now: float) -> int | None:
    """In how many seconds the model is loaded for work that waits; None: it is being loaded, or at no certain time."""
    match life.state:
        case ModelState.WAITING_FOR_GPU:
            return max(0, math.ceil(life.retry_at - now))
        case ModelState.UNLOADED if life.hold_until > now:
            return math.ceil(life.hold_until - now)
        case _:
            return None


def _load(life: Life) -> tuple[Life, tuple[Action, ...]]:
    if life.state is ModelState.UNLOADED:
        return _start(life)
    # The last request wins: a load after an unload that is still pending keeps the model, and restarts its idle time.
    return replace(life, unload_pending=False, idle_at=None), ()


def _start(life: Life) -> tuple[Life, tuple[Action, ...]]:
    loading = Life(
        state=ModelState.LOADING,
        vram_needed_mb=life.vram_needed_mb,
        vram_free_mb=life.vram_free_mb,
        failures=life.failures,
        last_error=life.last_error,
        lacking_since=life.lacking_since,
    )
    return loading, (Announce("model_loading"), StartEngine())


def _unload(life: Life, *, now: float, policy: Policy) -> tuple[Life, tuple[Action, ...]]:
    hold_until = now + policy.unload_hold_s
    if life.state is ModelState.UNLOADED:
        return replace(life, hold_until=hold_until), ()
    if life.state is ModelState.READY:
        return replace(life, unload_pending=True), ()
    return Life(hold_until=hold_until), (StopEngine(), Announce("model_unloaded"))


def _queue(life: Life, needed_mb: int, *, now: float, policy: Policy) -> tuple[Life, tuple[Action, ...]]:
    queued = replace(
        life,
        state=ModelState.WAITING_FOR_GPU,
        vram_needed_mb=needed_mb,
        vram_free_mb=0,
        retry_at=now + policy.poll_interval_s,
        lacking_since=now if life.lacking_since is None else life.lacking_since,
        queued=True,
    )
    return queued, () if life.queued else (Announce("model_waiting_for_gpu"),)


def _failed(life: Life, message: str, *, now: float) -> tuple[Life, tuple[Action, ...]]:
    wait_s = min(2.0 ** min(life.failures, 10), MAX_BACKOFF_S)
    failed = Life(failures=life.failures + 1, last_error=message, hold_until=now + wait_s)
    return failed, (StopEngine(), Announce("model_unloaded"))


def _tick(life: Life, tick: Tick, *, now: float, policy: Policy) -> tuple[Life, tuple[Action, ...]]:
    match life.state:
        case ModelState.UNLOADED if tick.work_waiting and now >= life.hold_until:
            return _start(life)
        case ModelState.WAITING_FOR_GPU if life.queued:  # nothing is used yet, but others may wait for the same place
            return _tick_idle(life, tick, now=now, policy=policy)
        case ModelState.WAITING_FOR_GPU if now >= life.retry_at:
            return _start(life)
        case ModelState.READY:
            return _tick_ready(life, tick, now=now, policy=policy)
        case _:
            return life, ()


def _tick_ready(life: Life, tick: Tick, *, now: float, policy: Policy) -> tuple[Life, tuple[Action, ...]]:
    if life.unload_pending and not tick.in_flight:
        # The time starts when the memory is free, not when the last batches were still in the engine.
        return Life(hold_until=now + policy.unload_hold_s), (StopEngine(), Announce("model_unloaded"))
    return _tick_idle(life, tick, now=now, policy=policy)


def _tick_idle(life: Life, tick: Tick, *, now: float, policy: Policy) -> tuple[Life, tuple[Action, ...]]:
    if tick.work_waiting or tick.in_flight or tick.in_use or not policy.idle_timeout_s:
        return replace(life, idle_at=None), ()
    if life.idle_at is None:
        return replace(life, idle_at=now + policy.idle_timeout_s), ()
    if now >= life.idle_at:
        return Life(), (StopEngine(), Announce("model_unloaded"))
    return life, ()
