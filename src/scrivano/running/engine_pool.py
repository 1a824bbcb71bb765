"""Which models are loaded on which devices, and which chunks their engines work on.

It belongs to the runner's thread: it is told what engine children sent, and returns what became of chunks.
"""

from __future__ import annotations

import logging
import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Any, Literal, Protocol

from scrivano.domain.decoding import ChunkResult
from scrivano.engines.gpu_memory import MemoryReader
from scrivano.processes.child import Exited, Received
from scrivano.processes.messages import (
    ChunkRequest,
    Decoded,
    Downloading,
    EngineMessage,
    Failed,
    Loaded,
    Placed,
    Queued,
)
from scrivano.running import model_state
from scrivano.running.children import Children
from scrivano.running.engine_process import EngineLimits, EngineProcess
from scrivano.running.engine_slot import EngineSlot, ModelSpec, best_first, status_of, used
from scrivano.running.model_state import Life, ModelState
from scrivano.running.model_status import ModelStatus
from scrivano.running.scheduler import Scheduler, WorkItem
from scrivano.telemetry.events import BatchDecoded, Emit, EngineLost, EngineStarted

__all__ = [
    "AssignedBatch",
    "BatchLost",
    "BatchOutcome",
    "BatchRefused",
    "BatchResults",
    "EnginePool",
    "PoolOptions",
    "PublishModelEvent",
]

logger = logging.getLogger(__name__)

# After a model was unloaded to free memory for another: a driver's figures settle within about 1.5 s of the end of a
# process.
SETTLE_S = 2.0

# For so long after urgent work batches stay short, or yield, because more of it may come.
URGENT_EXPECTED_S = 120.0

# A clip has no more chunks than this much audio fills.
CLIP_S = 60.0

# Of the memory that is free when a model is loaded, what its batches may use.
VRAM_SHARE = 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolOptions:
    """Plain values from the settings.

    `models`: the first one is used where none is named. `gpus`: indices of the devices, each of which gets an engine
    for each model; empty: one engine a model, on the CPU.
    `engines`: how many engines a model may have somewhere in a cluster, which chooses the devices; None: there is no
    cluster. They are started as work waits. Of `gpus` only counts whether there are any.
    `batch_s`: how long a batch of other work may take while urgent work waits for it; `calm_s`: how long while none is
    expected. `in_flight`: batches that an engine is given at once, so that it need not wait for its next one.
    `urgent_slot`: an engine decodes urgent work at the same time as its other batch, on cores that they share, so that
    urgent work never waits. `unload_grace_s`: jobs in an engine with less than this to go end before an unload that was
    asked for.
    """

    models: Sequence[ModelSpec]
    gpus: Sequence[int] = ()
    engines: int | None = None
    limits: EngineLimits = field(default_factory=EngineLimits)
    batch_s: float = 1.5
    calm_s: float = 6.0
    in_flight: int = 1
    urgent_slot: bool = False
    unload_grace_s: float = 0.0


class PublishModelEvent(Protocol):
    def __call__(self, type: str, data: Mapping[str, Any], /) -> None:
        """Publish an event of the first model, at once; called on the runner's thread."""


# What became of chunks.


@dataclass(frozen=True, slots=True)
class BatchResults:
    """One result for each of the items."""

    items: Sequence[WorkItem]
    results: Sequence[ChunkResult]


@dataclass(frozen=True, slots=True)
class BatchRefused:
    """One of these chunks cannot be decoded."""

    items: Sequence[WorkItem]
    message: str


@dataclass(frozen=True, slots=True)
class BatchLost:
    """The engine died over these. `killed`: from outside, which rarely means the chunks."""

    items: Sequence[WorkItem]
    message: str
    killed: bool = False


BatchOutcome = BatchResults | BatchRefused | BatchLost

Reason = Literal["crashed", "killed", "hung", "device"]


@dataclass(frozen=True, slots=True)
class AssignedBatch:
    """A batch for an engine that waits for it: hand it back to `EnginePool.start` with its requests."""

    slot: EngineSlot
    items: Sequence[WorkItem]
    urgent: bool


class EnginePool:
    """`status` and `pids` may be read by any thread."""

    def __init__(
        self,
        options: PoolOptions,
        children: Children,
        memory: MemoryReader,
        publish: PublishModelEvent,
        now: Callable[[], datetime],
        deliver: Callable[[Received[EngineMessage] | Exited[EngineMessage]], None],
        emit: Emit,
    ) -> None:
        self._children = children
        self._emit = emit
        self._options = options
        self._memory = memory
        self._publish = publish
        self._now = now
        self._default = options.models[0].name
        self._schedulers = {
            spec.name: Scheduler(separate_urgent=not options.gpus, short_chunks=math.ceil(CLIP_S / spec.max_chunk_s))
            for spec in options.models
        }
        gpus: Sequence[int | None] = [None] * options.engines if options.engines else options.gpus or [None]
        self._slots = [self._slot(spec, gpu, deliver) for spec in options.models for gpu in gpus]
        # The attempt of each job whose chunks may be here: chunks of others are not put back.
        self._attempts: dict[str, int] = {}
        # Chunks that may have ended an engine, by job and index, and the node on which it was.
        self._ended_on: dict[tuple[str, int], str] = {}
        self._urgent_expected_until = 0.0
        self.status: Mapping[str, ModelStatus] = {}
        self._update_status()

    def _slot(
        self,
        spec: ModelSpec,
        gpu: int | None,
        deliver: Callable[[Received[EngineMessage] | Exited[EngineMessage]], None],
    ) -> EngineSlot:
        options = self._options
        load = replace(spec.load, device_index=gpu or 0)
        start = partial(self._children.engine, load, spec.needed_mb)
        process = EngineProcess(start, load, options.limits, deliver)
        return EngineSlot(spec, gpu, process, spec.batch_size)

    @property
    def pids(self) -> list[int]:
        """The processes that have the models."""
        return [pid for pid in (slot.process.pid for slot in self._slots) if pid is not None]

    # Chunks ----------------------------------------------------------------------------------------------------

    def open_job(self, job_id: str, attempt: int) -> None:
        """From now on chunks of this attempt may be added."""
        self._attempts[job_id] = attempt

    def add(self, model: str, items: Iterable[WorkItem], *, first: bool = False) -> None:
        """`first`: before the other waiting chunks of their jobs."""
        if first:
            self._schedulers[model].put_back(items)
        else:
            self._schedulers[model].add(items)

    def all_added(self, model: str, job_id: str, chunks: int) -> None:
        """All `chunks` of the job have been added, or will not come."""
        scheduler = self._schedulers[model]
        scheduler.complete(job_id)
        if chunks <= scheduler.short_chunks:  # an idle engine may have taken them before anyone knew that it was a clip
            self._expect_urgent_work()

    def remove_job(self, job_id: str) -> None:
        """Forget its waiting chunks; those in an engine are decoded in vain. Unknown ids are fine."""
        self._attempts.pop(job_id, None)
        self._ended_on = {chunk: node for chunk, node in self._ended_on.items() if chunk[0] != job_id}
        for scheduler in self._schedulers.values():
            scheduler.remove(job_id)

    def has_plenty(self, model: str) -> bool:
        """Whether more chunks wait than the next two batches of its engines can take."""
        limit = 2 * sum(slot.batch_limit for slot in self._slots_of(model))
        return self._schedulers[model].count() > limit

    def max_chunk_s(self, model: str) -> float:
        """The longest audio that a chunk of a job of this model may have."""
        return self._slots_of(model)[0].spec.max_chunk_s

    def count_waiting(self) -> dict[str, int]:
        """Of each model, the chunks that no engine has."""
        return {model: scheduler.count() for model, scheduler in self._schedulers.items()}

    def is_open(self, item: WorkItem) -> bool:
        """Whether the attempt that the chunk belongs to still runs."""
        return self._attempts.get(item.job_id) == item.attempt

    def next_batch(self) -> AssignedBatch | None:
        """A batch for an engine that can take one; None: none can, or nothing waits. `start` it before the next."""
        for slot in self._slots:
            scheduler, process = self._schedulers[slot.spec.name], slot.process
            if not slot.ready:
                if len(process.batches) < self._options.in_flight and (items := self._next_finishing(slot, scheduler)):
                    return AssignedBatch(slot, items, urgent=False)
                continue
            if self._options.urgent_slot and not process.urgent_batch and not slot.suspects:
                items = scheduler.next_urgent(slot.batch_limit, slot.chunks_in(self._options.batch_s))
                if items:
                    self._expect_urgent_work()
                    return AssignedBatch(slot, items, urgent=True)
            if len(process.batches) < self._options.in_flight and (items := self._next_items(slot, scheduler)):
                return AssignedBatch(slot, items, urgent=False)
        return None

    def _next_items(self, slot: EngineSlot, scheduler: Scheduler) -> list[WorkItem]:
        items = scheduler.next_batch(slot.batch_limit, self._calm_limit(slot))
        if not items:
            return []
        slot.suspects = items[0].alone
        if slot.suspects and self._belongs_elsewhere(slot, items[0]):
            slot.suspects = False
            scheduler.put_back(items)
            return []
        if slot.suspects and slot.process.urgent_batch:  # it waits until it is alone in the engine
            scheduler.put_back(items)
            return []
        if scheduler.is_urgent(items):
            self._expect_urgent_work()
        return items

    def _belongs_elsewhere(self, slot: EngineSlot, item: WorkItem) -> bool:
        """Whether the engine of another node is to try this: it may have been the node that ended the first one."""
        node = self._ended_on.get((item.job_id, item.index))
        others = (other for other in self._slots_of(slot.spec.name) if other.ready)
        return node is not None and node == slot.node and any(other.node not in (None, node) for other in others)

    def _next_finishing(self, slot: EngineSlot, scheduler: Scheduler) -> list[WorkItem]:
        """Chunks of jobs that end before the unload that waits for them."""
        if not self._is_finishing(slot) or slot.process.urgent_batch:
            return []
        items = scheduler.next_of(slot.finishing, slot.batch_limit)
        slot.suspects = bool(items) and items[0].alone
        return items

    def _is_finishing(self, slot: EngineSlot) -> bool:
        """Whether chunks of such jobs wait."""
        if slot.life.state is not ModelState.READY or not slot.life.unload_pending or time.monotonic() > slot.finish_by:
            return False
        return any(self._schedulers[slot.spec.name].waiting_count(job_id) for job_id in slot.finishing)

    def _nearly_done(self, slot: EngineSlot) -> frozenset[str]:
        """Of the jobs that wait for the engine or are in it, those that it ends within the grace period."""
        batches = [batch for batch in (*slot.process.batches, slot.process.urgent_batch) if batch is not None]
        in_engine = [item.job_id for batch in batches for item in batch.items]
        scheduler, found, chunks = self._schedulers[slot.spec.name], set[str](), len(in_engine)
        waiting = {job_id: scheduler.waiting_count(job_id) for job_id in {*in_engine, *scheduler.waiting_jobs}}
        for count, job_id in sorted((count, job_id) for job_id, count in waiting.items() if count is not None):
            chunks += count
            if slot.pace_s and chunks * slot.pace_s <= self._options.unload_grace_s:
                found.add(job_id)
        return frozenset(found)

    def start(self, batch: AssignedBatch, chunks: Sequence[ChunkRequest]) -> None:
        """Decode a batch. `chunks`: a request for each of its items."""
        slot, options = batch.slot, batch.items[0].options
        if slot.greedy:
            # Each hypothesis of a beam has a cache of its own. The temperatures stay: the text passes the same tests.
            options = replace(options, beam_size=1)
        if self._options.urgent_slot and self._urgent_expected and not batch.urgent:
            options = replace(options, yielding=True)
        slot.process.decode(batch.items, options, chunks, urgent=batch.urgent)

    def _put_back(self, slot: EngineSlot, items: Iterable[WorkItem]) -> None:
        """Chunks that were given out but not decoded."""
        self._schedulers[slot.spec.name].put_back(item for item in items if self.is_open(item))

    def _expect_urgent_work(self) -> None:
        self._urgent_expected_until = time.monotonic() + URGENT_EXPECTED_S

    @property
    def _urgent_expected(self) -> bool:
        return time.monotonic() < self._urgent_expected_until

    def _calm_limit(self, slot: EngineSlot) -> int:
        """How many chunks may be decoded together while no caller waits for them; urgent work may come."""
        urgent_waits = self._urgent_expected and not self._options.urgent_slot
        return slot.chunks_in(self._options.batch_s if urgent_waits else self._options.calm_s)

    # Models ----------------------------------------------------------------------------------------------------

    def ready_models(self) -> list[str]:
        return list(dict.fromkeys(slot.spec.name for slot in self._slots if slot.ready))

    def count_engines(self) -> Counter[tuple[str, ModelState]]:
        """Of each model and state, without engines that are not there."""
        return Counter((slot.spec.name, slot.life.state) for slot in used(self._slots))

    @property
    def loading(self) -> bool:
        """Whether a model will soon be ready."""
        return any(slot.life.state is ModelState.LOADING for slot in self._slots)

    def load(self, model: str) -> None:
        """In a cluster one engine; others follow when there is work for them."""
        slots = self._slots_of(model)
        for slot in used(slots) or slots[:1] if self._options.engines else slots:
            slot.used_at = time.monotonic()
            self._apply(slot, model_state.Load())

    def unload(self, model: str | None) -> None:
        """None: all of them."""
        for slot in self._slots if model is None else self._slots_of(model):
            if not slot.life.unload_pending:
                slot.finishing = self._nearly_done(slot)
                slot.finish_by = time.monotonic() + self._options.unload_grace_s
            self._apply(slot, model_state.Unload())

    @property
    def busy(self) -> bool:
        """Whether a batch is in an engine."""
        return any(slot.process.busy for slot in self._slots)

    def postpone(self, seconds: float) -> None:
        """This process was stopped for so long: what the engines sent meanwhile is still to be read."""
        for slot in self._slots:
            slot.process.postpone(seconds)

    def tick(self, models_with_work: Iterable[str], *, in_use: bool) -> None:
        """Time has passed. `in_use`: an upload, which will be a job soon, is under way."""
        working = set(models_with_work)
        for spec in self._options.models:
            slots = self._slots_of(spec.name)
            wanted = self._wanted(spec.name, slots) if self._options.engines else len(slots)
            for number, slot in enumerate(best_first(slots)):
                slot.has_work = spec.name in working and number < wanted
                in_flight = slot.process.busy or self._is_finishing(slot)
                self._apply(slot, model_state.Tick(slot.has_work, in_flight, in_use and number < wanted))

    def _wanted(self, model: str, slots: Sequence[EngineSlot]) -> int:
        """How many engines a model needs in a cluster: one, those that have work, and those that would have."""
        busy = sum(slot.process.busy for slot in slots)
        waiting = self._schedulers[model].count()
        ready = sum(slot.ready for slot in slots)
        more = math.ceil(waiting / (2 * slots[0].spec.batch_size))
        return max(1, busy, ready + more if waiting else 0)

    def next_deadline_s(self, now_s: float) -> float:
        """Seconds until the next deadline of a model; infinite if there is none."""
        deadlines = (model_state.next_deadline(slot.life) for slot in self._slots)
        return min((at - now_s for at in deadlines if at is not None and at > now_s), default=float("inf"))

    def stop(self) -> None:
        """Kill all engines, for good."""
        for slot in self._slots:
            slot.process.kill()

    def _slots_of(self, model: str) -> list[EngineSlot]:
        return [slot for slot in self._slots if slot.spec.name == model]

    def _apply(self, slot: EngineSlot, event: model_state.LifeEvent) -> None:
        before, shown, about = slot.life, self.status[slot.spec.name].life.state, slot.about
        life, actions = model_state.step(before, event, now=time.monotonic(), policy=slot.spec.policy)
        if life.state is ModelState.UNLOADED:
            slot.node = None
        if model_state.StopEngine() in actions:
            self._stop(slot)  # first: a reader of `unloaded` may count on the memory
        slot.life = life
        if life.state is not before.state:
            slot.download = None
            level = logging.DEBUG if _tries_again(before, life) else logging.INFO
            logger.log(level, "model %s", life.state.value, extra={"was": before.state.value, **about})
        if life.last_error and life.last_error != before.last_error:
            logger.error("the model is not loaded: %s", life.last_error, extra=about)
        if life is not before:
            self._update_status()
        changed = slot.spec.name == self._default and self.status[slot.spec.name].life.state is not shown
        for action in actions:
            match action:
                case model_state.StartEngine():
                    self._start(slot)
                case model_state.Announce(type) if changed:
                    self._publish(type, model_state.payload(type, life, now=time.monotonic()))

    def _update_status(self) -> None:
        clustered = self._options.engines is not None
        self.status = {
            spec.name: status_of(self._slots_of(spec.name), clustered=clustered) for spec in self._options.models
        }

    def _start(self, slot: EngineSlot) -> None:
        free_mb = self._free_mb(slot)
        if free_mb is None or free_mb >= slot.spec.needed_mb:
            slot.process.start()
            self._emit(EngineStarted(slot.spec.name))
        else:
            unloaded = self._unload_idle_model(slot)
            self._lacks_memory(slot, free_mb, SETTLE_S if unloaded else None)

    def _stop(self, slot: EngineSlot) -> None:
        working, waiting = slot.process.kill()
        for items in (*waiting[::-1], working):
            self._put_back(slot, items)

    # Memory ----------------------------------------------------------------------------------------------------

    def _free_mb(self, slot: EngineSlot) -> int | None:
        """The memory that a load may use; None if that does not matter or is not known."""
        if not slot.spec.needed_mb or self._options.engines:  # the node checks it
            return None
        if slot.gpu is not None:
            memory = self._memory.read(slot.gpu)
            return memory.free_mb if memory else None
        # The user chose the only model of a CPU, whatever memory it takes. A second model is our choice.
        others = any(other.process.child for other in self._slots if other is not slot)
        return self._memory.host_free_mb() if others else None

    def _unload_idle_model(self, slot: EngineSlot) -> bool:
        """Unload the model on that device that has been idle for longest; False: there is none."""
        others = [other for other in self._slots if other.gpu == slot.gpu and other is not slot]
        idle = [other for other in others if other.ready and not other.has_work and not other.process.busy]
        if not idle:
            return False
        oldest = min(idle, key=lambda other: other.used_at)
        logger.info("unloading an idle model", extra={"to_load": slot.spec.name, **oldest.about})
        self._apply(oldest, model_state.Unload())
        self._apply(oldest, model_state.Tick(work_waiting=False, in_flight=False, in_use=False))
        return True

    def _lacks_memory(self, slot: EngineSlot, free_mb: int, retry_s: float | None = None) -> None:
        self._apply(slot, model_state.LacksMemory(slot.spec.needed_mb, free_mb, retry_s))

    def _fitting_batch(self, slot: EngineSlot, free_mb: int | None) -> int:
        """How many chunks fit into memory with the weights that are loaded now."""
        if slot.gpu is not None and (memory := self._memory.read(slot.gpu)) is not None:
            free_mb = memory.free_mb
        if free_mb is None or not slot.spec.window_mb:
            return slot.spec.batch_size
        fitting = int(VRAM_SHARE * free_mb / slot.spec.window_mb)
        return max(1, min(slot.spec.batch_size, fitting))

    # Messages of children ----------------------------------------------------------------------------------------

    def received(self, news: Received[EngineMessage] | Exited[EngineMessage]) -> BatchOutcome | None:
        """What became of chunks; None: nothing. Messages of a child that was killed are ignored."""
        slot = next((slot for slot in self._slots if slot.process.child is news.child), None)
        if slot is None:
            return None
        if isinstance(news, Exited):
            reason: Reason = "killed" if news.killed_from_outside else "crashed"
            return self._died(slot, f"the engine ended with {news.reason}", reason)
        return self._understand(slot, news.message)

    def _understand(self, slot: EngineSlot, message: EngineMessage) -> BatchOutcome | None:
        match message:
            case Queued():
                slot.process.queued()
                self._unload_idle_model(slot)
                self._apply(slot, model_state.Queued(slot.spec.needed_mb))
            case Placed():
                slot.process.load_progressed()
                slot.node = message.node
                self._apply(slot, model_state.Placed())
            case Downloading():
                self._downloading(slot, {"done_bytes": message.done_bytes, "total_bytes": message.total_bytes})
            case Loaded():
                slot.process.loaded(message.warm_up_s)
                slot.batch_limit, slot.greedy = self._fitting_batch(slot, message.free_mb), False
                self._apply(slot, model_state.Loaded(self._now()))
            case Decoded():
                return self._decoded(slot, message)
            case Failed(id=None, kind="memory"):
                self._lacks_memory(slot, self._free_mb(slot) or 0)
            case Failed(id=None):
                self._apply(slot, model_state.LoadFailed(slot.said(message.message)))
            case Failed():
                return self._failed(slot, message)
        return None

    def kill_hung(self) -> list[BatchLost]:
        """Kill the engines that are past their deadline; returns what they worked on."""
        now = time.monotonic()
        hung = [slot for slot in self._slots if slot.process.deadline is not None and now > slot.process.deadline]
        return [self._died(slot, "the engine made no progress before its deadline", "hung") for slot in hung]

    def _downloading(self, slot: EngineSlot, download: Mapping[str, Any]) -> None:
        slot.process.load_progressed()
        slot.download = download
        self._update_status()
        logger.info("downloading the model", extra={**download, **slot.about})

    def _decoded(self, slot: EngineSlot, message: Decoded) -> BatchOutcome:
        items = slot.process.answered(message.id, message.seconds)
        if not items or len(items) != len(message.results):
            answer = f"{len(message.results)} results for the {len(items)} chunks of batch {message.id}"
            return self._died(slot, f"the engine sent {answer}", answered=items)
        slot.decoded(len(items), message.seconds)
        audio_s = sum(item.seconds for item in items)
        limit = max(slot.batch_limit, len(items))
        self._emit(BatchDecoded(slot.spec.name, [item.job_id for item in items], limit, audio_s, message.seconds))
        return BatchResults(items, message.results)

    def _failed(self, slot: EngineSlot, failed: Failed) -> BatchOutcome | None:
        items = slot.process.answered(failed.id)
        about = {"kind": failed.kind, **slot.about, **_jobs(items)}
        logger.error("the engine failed a batch: %s", failed.message, extra=about)
        match failed.kind:
            case "memory":
                self._shrink(slot, items)
                return None
            case "storage":
                self._put_back(slot, items)
                return None
            case "input":
                return BatchRefused(items, failed.message)
            case _:
                return self._died(slot, failed.message, "device", answered=items)

    def _shrink(self, slot: EngineSlot, items: Sequence[WorkItem]) -> None:
        """The device is too full: half as many chunks at once; with one chunk, no beam; then wait for memory."""
        self._put_back(slot, items)
        if len(items) > 1:
            slot.batch_limit = len(items) // 2
            logger.warning("batches have at most %d chunks from now on", slot.batch_limit, extra=slot.about)
        elif not slot.greedy:
            slot.greedy = True
            logger.warning("decoding is greedy (beam_size 1) until the model is loaded again", extra=slot.about)
        else:
            self._lacks_memory(slot, self._free_mb(slot) or 0)

    def _died(
        self,
        slot: EngineSlot,
        message: str,
        reason: Reason = "crashed",
        *,
        answered: Sequence[WorkItem] = (),
    ) -> BatchLost:
        """The engine is gone, or has to go. `answered`: the chunks of the batch that its last message was about."""
        working, innocent = slot.process.kill()
        suspects = (*answered, *working)
        logger.error("%s", message, extra={**slot.about, **_jobs(suspects)})
        self._emit(EngineLost(slot.spec.name, reason))
        if slot.node is not None:
            self._ended_on |= {(item.job_id, item.index): slot.node for item in suspects if self.is_open(item)}
        for items in innocent[::-1]:
            self._put_back(slot, items)
        loading = slot.life.state is not ModelState.READY
        cause = slot.said(message)
        self._apply(slot, model_state.LoadFailed(cause) if loading else model_state.Died(cause))
        return BatchLost(suspects, message, killed=reason == "killed")


def _jobs(items: Sequence[WorkItem]) -> dict[str, Any]:
    return {"job_ids": sorted({item.job_id for item in items})} if items else {}


def _tries_again(before: Life, after: Life) -> bool:
    """Whether a load that did not succeed is tried again, or did not succeed again: the log has it already."""
    lacks_memory = before.lacking_since is not None and after.lacking_since is not None
    return lacks_memory or (before.failures > 0 and after.failures > 0)
