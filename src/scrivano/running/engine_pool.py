"""The engines: which models are in memory, on which devices, and which chunks they work on.

All of it belongs to the runner's thread, which hands on what children say and is told what became of its chunks.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal, Protocol

from scrivano.engines.gpu_memory import MemoryReader
from scrivano.processes.child import Child, Exited, Message
from scrivano.processes.engine_results import results_of
from scrivano.running import model_state as lifecycle
from scrivano.running.engine_process import EngineHost, EngineLimits
from scrivano.running.model_state import Life, ModelState, Policy
from scrivano.running.scheduler import Scheduler, WorkItem
from scrivano.telemetry.events import BatchDecoded, Emit, EngineLost, EngineStarted

logger = logging.getLogger(__name__)

# After a model has made room: a driver's figures settle within about 1.5 s of a process's end.
ROOM_S = 2.0

# So long after urgent work batches stay short, or yield, since more of it may come.
HURRY_S = 120.0

# Of the newest batch, in the running mean of seconds a chunk.
PACE_WEIGHT = 0.3

# Of what is free when a model is loaded, for its batches.
VRAM_SHARE = 0.9


# What takes less memory for the same chunk, in place of the job's own options: each hypothesis of a beam has a cache of
# its own. The temperatures stay, so that the text passes the same tests.
FRUGAL = {"beam_size": 1}


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """A model that this server serves.

    `load`: the engine's load message, but for the device's index. `needed_mb`: memory for a load, 0 for unknown;
    `window_mb`: memory for each chunk of a batch, likewise.
    """

    name: str
    load: Mapping[str, Any]
    policy: Policy = field(default_factory=Policy)
    needed_mb: int = 0
    window_mb: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolOptions:
    """Plain values out of the settings.

    `models`: the first is the one that is meant where none is named. `gpus`: indices of the devices, each of which gets
    an engine of a model's; empty: one engine a model, on the CPU.
    `batch_secs`: how long a batch of other work may take where urgent work waits for it; `calm_secs`: how long where
    none is expected. `in_flight`: batches that an engine is given at once, so that it need not wait for its next one.
    `beside`: an engine decodes urgent work beside its other batch, on cores that they share, so that none waits.
    """

    engine_command: Sequence[str]
    models: Sequence[ModelSpec]
    gpus: Sequence[int] = ()
    limits: EngineLimits = field(default_factory=EngineLimits)
    batch_size: int = 4
    batch_secs: float = 1.5
    calm_secs: float = 6.0
    in_flight: int = 1
    beside: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """What a request may see of a model. `download` is the last word of a download under way.

    `devices`: each GPU that it uses and how it stands there; empty on a CPU.
    """

    life: Life
    download: Mapping[str, Any] | None = None
    devices: Mapping[int, ModelState] = field(default_factory=dict)


class Announcer(Protocol):
    def __call__(self, type: str, data: Mapping[str, Any], /) -> None:
        """Tell the world an event of the first model, at once; called on the runner's thread."""


# What became of chunks.


@dataclass(frozen=True, slots=True)
class Results:
    """One result for each of the items."""

    items: Sequence[WorkItem]
    results: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Refused:
    """One of these chunks cannot be decoded."""

    items: Sequence[WorkItem]
    message: str


@dataclass(frozen=True, slots=True)
class Lost:
    """The engine died over these. `from_outside`: it was killed, which rarely means the chunks."""

    items: Sequence[WorkItem]
    message: str
    from_outside: bool = False


News = Results | Refused | Lost | None

Order = Callable[[Sequence[WorkItem]], tuple[Mapping[str, Any], list[dict[str, Any]]]]

Reason = Literal["crashed", "killed", "hung", "device"]


class Engine:
    """One model on one device.

    `frugal`: a beam did not fit into its memory; until it is loaded again, it has none. `suspects`: its batch, or the
    next one, is a chunk that may be the end of it, and goes alone so that no other is suspected with it.
    """

    def __init__(self, spec: ModelSpec, gpu: int | None, host: EngineHost, batch_limit: int) -> None:
        self.spec = spec
        self.gpu = gpu
        self.host = host
        self.life = Life()
        self.download: Mapping[str, Any] | None = None
        self.batch_limit = batch_limit
        self.frugal = False
        self.suspects = False
        self.pace_secs = 0.0
        self.used_at = 0.0
        self.working = False

    @property
    def ready(self) -> bool:
        return self.life.state is ModelState.READY and not self.life.unload_pending

    def took(self, chunks: int, seconds: float) -> None:
        """A batch was decoded: how long the next one will take."""
        pace = seconds / chunks
        self.host.took(chunks, seconds)
        self.pace_secs = pace if not self.pace_secs else self.pace_secs + PACE_WEIGHT * (pace - self.pace_secs)
        self.used_at = time.monotonic()


class EnginePool:
    """`wants`: whether a chunk that was not decoded is still to be. `status` and `pids` may be read by any thread."""

    def __init__(
        self,
        options: PoolOptions,
        memory: MemoryReader,
        announce: Announcer,
        now: Callable[[], datetime],
        deliver: Callable[[Message | Exited], None],
        wants: Callable[[WorkItem], bool],
        emit: Emit,
    ) -> None:
        self._emit = emit
        self._options = options
        self._memory = memory
        self._announce = announce
        self._now = now
        self._wants = wants
        self._default = options.models[0].name
        self._schedulers = {spec.name: Scheduler(apart=not options.gpus) for spec in options.models}
        self._engines = [self._engine(spec, gpu, deliver) for spec in options.models for gpu in options.gpus or (None,)]
        self._hurry_until = 0.0
        self.status: Mapping[str, ModelStatus] = {}
        self._show()

    def _engine(self, spec: ModelSpec, gpu: int | None, deliver: Callable[[Message | Exited], None]) -> Engine:
        options = self._options
        load = {**spec.load, "device_index": gpu or 0}
        host = EngineHost(options.engine_command, load, options.limits, deliver, options.environment)
        return Engine(spec, gpu, host, options.batch_size)

    @property
    def pids(self) -> list[int]:
        """The processes that have the models."""
        return [pid for pid in (engine.host.pid for engine in self._engines) if pid is not None]

    # Chunks ----------------------------------------------------------------------------------------------------

    def add(self, model: str, items: Iterable[WorkItem]) -> None:
        self._schedulers[model].add(items)

    def put_back(self, model: str, items: Iterable[WorkItem], *, alone: bool = False) -> None:
        """Chunks that were given out but not decoded. `alone`: each in a batch of its own from now on."""
        wanted = [item for item in items if self._wants(item)]
        self._schedulers[model].put_back(replace(item, alone=True) if alone else item for item in wanted)

    def complete(self, model: str, job_id: str) -> None:
        """All of the job's chunks have been added, or will not come."""
        self._schedulers[model].complete(job_id)

    def remove(self, job_id: str) -> None:
        for scheduler in self._schedulers.values():
            scheduler.remove(job_id)

    def dispatch(self, order: Order) -> None:
        """Give every engine that has room its next batch. `order`: the options and the chunks as the wire has them."""
        for engine in self._engines:
            scheduler = self._schedulers[engine.spec.name]
            if self._options.beside and engine.ready and not engine.host.beside and not engine.suspects:
                limit = self._limit(engine, self._options.batch_secs)
                if batch := scheduler.next_urgent(engine.batch_limit, limit):
                    self._hurry_until = time.monotonic() + HURRY_S
                    self._give(engine, batch, order, beside=True)
            while engine.ready and len(engine.host.batches) < self._options.in_flight:
                batch = scheduler.next_batch(engine.batch_limit, self._calm_limit(engine))
                if not batch:
                    break
                engine.suspects = batch[0].alone
                if engine.suspects and engine.host.beside:
                    scheduler.put_back(batch)
                    break
                if scheduler.is_urgent(batch):
                    self._hurry_until = time.monotonic() + HURRY_S
                self._give(engine, batch, order)

    def _give(self, engine: Engine, batch: Sequence[WorkItem], order: Order, *, beside: bool = False) -> None:
        options, chunks = order(batch)
        if engine.frugal:
            options = {**options, **FRUGAL}
        if self._options.beside and self._hurry and not beside:
            options = {**options, "yielding": True}
        engine.host.decode(batch, options, chunks, beside=beside)

    @property
    def _hurry(self) -> bool:
        return time.monotonic() < self._hurry_until

    def _calm_limit(self, engine: Engine) -> int:
        """How many chunks may be decoded together where nobody waits for them; somebody may come."""
        waits = self._hurry and not self._options.beside
        return self._limit(engine, self._options.batch_secs if waits else self._options.calm_secs)

    def _limit(self, engine: Engine, seconds: float) -> int:
        """How many chunks take about so long together."""
        if not engine.pace_secs:
            return engine.batch_limit
        return max(1, min(engine.batch_limit, int(seconds / engine.pace_secs)))

    # Models ----------------------------------------------------------------------------------------------------

    def ready_models(self) -> list[str]:
        return list(dict.fromkeys(engine.spec.name for engine in self._engines if engine.ready))

    @property
    def loading(self) -> bool:
        """Whether one will soon be ready."""
        return any(engine.life.state is ModelState.LOADING for engine in self._engines)

    def load(self, model: str) -> None:
        for engine in self._of(model):
            engine.used_at = time.monotonic()
            self._apply(engine, lifecycle.Load())

    def unload(self, model: str | None) -> None:
        """None: all of them."""
        for engine in self._engines if model is None else self._of(model):
            self._apply(engine, lifecycle.Unload())

    @property
    def busy(self) -> bool:
        """Whether a batch is in an engine."""
        return any(engine.host.busy for engine in self._engines)

    def postpone(self, seconds: float) -> None:
        """This process was stopped for so long: what the engines said meanwhile is still to be read."""
        for engine in self._engines:
            engine.host.postpone(seconds)

    def tick(self, working: Callable[[str], bool], *, in_use: bool) -> None:
        """Time goes by. `working`: whether a model has jobs; `in_use`: what will soon be a job is under way."""
        for engine in self._engines:
            engine.working = working(engine.spec.name)
            self._apply(engine, lifecycle.Tick(engine.working, engine.host.busy, in_use))

    def patience(self, now: float) -> float:
        """Seconds until the next deadline of a model; infinite where there is none ahead."""
        deadlines = (lifecycle.next_deadline(engine.life) for engine in self._engines)
        return min((at - now for at in deadlines if at is not None and at > now), default=float("inf"))

    def stop(self) -> None:
        """Kill all engines, for good."""
        for engine in self._engines:
            engine.host.kill()

    def _of(self, model: str) -> list[Engine]:
        return [engine for engine in self._engines if engine.spec.name == model]

    def _apply(self, engine: Engine, event: lifecycle.LifeEvent) -> None:
        before, shown = engine.life, self.status[engine.spec.name].life.state
        life, actions = lifecycle.step(before, event, now=time.monotonic(), policy=engine.spec.policy)
        if lifecycle.StopEngine() in actions:
            self._stop(engine)  # first: who reads that the model is unloaded may count on its memory
        engine.life = life
        if life.state is not before.state:
            engine.download = None
            logger.info("model %s", life.state.value, extra={"was": before.state.value, **_about(engine)})
        if life.last_error and life.last_error != before.last_error:
            logger.error("the model is not loaded: %s", life.last_error, extra=_about(engine))
        if life is not before:
            self._show()
        news = engine.spec.name == self._default and self.status[engine.spec.name].life.state is not shown
        for action in actions:
            match action:
                case lifecycle.StartEngine():
                    self._start(engine)
                case lifecycle.Announce(type) if news:
                    self._announce(type, lifecycle.payload(type, life, now=time.monotonic()))

    def _show(self) -> None:
        self.status = {spec.name: _status(self._of(spec.name)) for spec in self._options.models}

    def _start(self, engine: Engine) -> None:
        free_mb = self._free_mb(engine)
        if free_mb is None or free_mb >= engine.spec.needed_mb:
            engine.host.start()
            self._emit(EngineStarted(engine.spec.name))
        else:
            made = self._make_room(engine)
            self._lacks_memory(engine, free_mb, ROOM_S if made else None)

    def _stop(self, engine: Engine) -> None:
        working, waiting = engine.host.kill()
        for items in (*waiting[::-1], working):
            self.put_back(engine.spec.name, items)

    # Memory ----------------------------------------------------------------------------------------------------

    def _free_mb(self, engine: Engine) -> int | None:
        """What a load may take; None where that does not matter or is not known."""
        if not engine.spec.needed_mb:
            return None
        if engine.gpu is not None:
            memory = self._memory.read(engine.gpu)
            return memory.free_mb if memory else None
        # A model that is alone on a CPU is its user's choice; one that would be the second is ours.
        others = any(other.host.child for other in self._engines if other is not engine)
        return self._memory.host_free_mb() if others else None

    def _make_room(self, engine: Engine) -> bool:
        """End the engine on that device that has been idle for longest; whether there was one."""
        others = [one for one in self._engines if one.gpu == engine.gpu and one is not engine]
        idle = [one for one in others if one.ready and not one.working and not one.host.busy]
        if not idle:
            return False
        oldest = min(idle, key=lambda one: one.used_at)
        logger.info("model makes room", extra={"room_for": engine.spec.name, **_about(oldest)})
        self._apply(oldest, lifecycle.Unload())
        self._apply(oldest, lifecycle.Tick(work_waiting=False, in_flight=False, in_use=False))
        return True

    def _lacks_memory(self, engine: Engine, free_mb: int, retry_s: float | None = None) -> None:
        self._apply(engine, lifecycle.LacksMemory(engine.spec.needed_mb, free_mb, retry_s))

    def _out_of_memory(self, engine: Engine) -> None:
        self._lacks_memory(engine, self._free_mb(engine) or 0)

    def _fitting_batch(self, engine: Engine) -> int:
        """How many chunks fit beside the weights that are loaded now."""
        memory = None if engine.gpu is None else self._memory.read(engine.gpu)
        if memory is None or not engine.spec.window_mb:
            return self._options.batch_size
        fitting = int(VRAM_SHARE * memory.free_mb / engine.spec.window_mb)
        return max(1, min(self._options.batch_size, fitting))

    # What children say -----------------------------------------------------------------------------------------

    def engine_of(self, child: Child) -> Engine | None:
        """None: not one of these, or one that was killed."""
        return next((engine for engine in self._engines if engine.host.child is child), None)

    def heard(self, engine: Engine, body: Mapping[str, Any]) -> News:
        try:
            return self._understand(engine, body)
        except (KeyError, TypeError, ValueError) as error:
            return self._died(engine, f"the engine answered nonsense: {error!r}")

    def _understand(self, engine: Engine, body: Mapping[str, Any]) -> News:
        match body["type"]:
            case "downloading":
                self._downloading(engine, {name: body[name] for name in ("done_bytes", "total_bytes")})
            case "loaded":
                engine.host.ready(float(body.get("warm_up_secs", 0.0)))
                engine.batch_limit, engine.frugal = self._fitting_batch(engine), False
                self._apply(engine, lifecycle.Loaded(self._now()))
            case "result":
                return self._results(engine, body)
            case "failed" if body["id"] is None:
                self._load_failed(engine, body["kind"], body["message"])
            case "failed":
                return self._failed(engine, body)
        return None

    def exited(self, engine: Engine, exited: Exited) -> Lost:
        reason: Reason = "killed" if exited.killed_from_outside else "crashed"
        return self._died(engine, f"the engine ended with {exited.reason}", reason)

    def overdue(self) -> list[tuple[str, Lost]]:
        """Kill the engines that hang; their models, and what they worked on."""
        now = time.monotonic()
        hanging = [one for one in self._engines if one.host.deadline is not None and now > one.host.deadline]
        message = "the engine made no progress before its deadline"
        return [(engine.spec.name, self._died(engine, message, "hung")) for engine in hanging]

    def _downloading(self, engine: Engine, download: Mapping[str, Any]) -> None:
        engine.host.loading()
        engine.download = download
        self._show()
        logger.info("downloading the model", extra={**download, **_about(engine)})

    def _results(self, engine: Engine, body: Mapping[str, Any]) -> News:
        if not (items := engine.host.working_on(body["id"])):
            raise ValueError(f"a result of batch {body['id']}, which it does not work on")
        results, secs = results_of(body, len(items))
        engine.took(len(items), secs)
        self._tell(engine, items, secs)
        return Results(engine.host.take(body["id"]), results)

    def _tell(self, engine: Engine, items: Sequence[WorkItem], secs: float) -> None:
        audio_secs = sum(item.seconds for item in items)
        limit = max(engine.batch_limit, len(items))
        self._emit(BatchDecoded(engine.spec.name, [item.job_id for item in items], limit, audio_secs, secs))

    def _load_failed(self, engine: Engine, kind: str, message: str) -> None:
        if kind == "memory":
            self._out_of_memory(engine)
        else:
            self._apply(engine, lifecycle.LoadFailed(message))

    def _failed(self, engine: Engine, body: Mapping[str, Any]) -> News:
        kind, message = body["kind"], body["message"]
        items = engine.host.working_on(body["id"])
        about = {"kind": kind, **_about(engine), **_jobs(items)}
        logger.error("the engine failed a batch: %s", message, extra=about)
        if kind == "memory":
            self._shrink(engine, engine.host.take(body["id"]))
        elif kind == "input":
            return Refused(engine.host.take(body["id"]), message)
        else:
            return self._died(engine, message, "device")
        return None

    def _shrink(self, engine: Engine, items: Sequence[WorkItem]) -> None:
        """The device is too full: half as many chunks at once; with one chunk, no beam; then wait for memory."""
        self.put_back(engine.spec.name, items)
        if len(items) > 1:
            engine.batch_limit = len(items) // 2
            logger.warning("batches have at most %d chunks from now on", engine.batch_limit, extra=_about(engine))
        elif not engine.frugal:
            engine.frugal = True
            logger.warning("decoding is greedy (beam_size 1) until the model is loaded anew", extra=_about(engine))
        else:
            self._out_of_memory(engine)

    def _died(self, engine: Engine, message: str, reason: Reason = "crashed") -> Lost:
        suspects, innocent = engine.host.kill()
        logger.error("%s", message, extra={**_about(engine), **_jobs(suspects)})
        self._emit(EngineLost(engine.spec.name, reason))
        for items in innocent[::-1]:
            self.put_back(engine.spec.name, items)
        loading = engine.life.state is ModelState.LOADING
        self._apply(engine, lifecycle.LoadFailed(message) if loading else lifecycle.Died(message))
        return Lost(suspects, message, reason == "killed")


_BEST = (ModelState.READY, ModelState.LOADING, ModelState.WAITING_FOR_GPU, ModelState.UNLOADED)


def _status(engines: Sequence[Engine]) -> ModelStatus:
    """A model stands where the best of its engines does."""
    best = min(engines, key=lambda engine: _BEST.index(engine.life.state))
    devices = {engine.gpu: engine.life.state for engine in engines if engine.gpu is not None}
    return ModelStatus(best.life, best.download, devices)


def _about(engine: Engine) -> dict[str, Any]:
    about: dict[str, Any] = {"model": engine.spec.name}
    return about if engine.gpu is None else {**about, "gpu": engine.gpu}


def _jobs(items: Sequence[WorkItem]) -> dict[str, Any]:
    return {"job_ids": sorted({item.job_id for item in items})} if items else {}
