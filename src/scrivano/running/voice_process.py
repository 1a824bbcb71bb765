"""The speakers child, and what waits for it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace

from scrivano.domain.job import Priority
from scrivano.processes.child import Child, Exited, Process, Received
from scrivano.processes.messages import encoder, parser
from scrivano.processes.voice_messages import (
    SpeakersNamed,
    VoiceMessage,
    VoiceRequest,
    VoicesFailed,
    VoicesFound,
)

__all__ = ["VoiceOutcome", "VoicePool", "VoiceTask"]

# A request that takes longer has hung. 60 s of audio take 3 s of one core, which engines may leave little of.
TIMEOUT_S = 900.0
# The child ends when it had nothing to do for so long.
IDLE_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class VoiceTask:
    """A request for a job; its `id` is set when it is sent. `index`: the chunk that it is about; None: all of them.

    `guess`: about those that are known so far. It is made before the other requests of the job."""

    job_id: str
    attempt: int
    priority: Priority
    index: int | None
    request: VoiceRequest
    guess: bool = False


@dataclass(frozen=True, slots=True)
class VoiceOutcome:
    """What became of a task. `answer`: `VoicesFailed` also if the child died; `killed`: from outside."""

    task: VoiceTask
    answer: VoicesFound | SpeakersNamed | VoicesFailed
    killed: bool = False


class VoicePool:
    """One child for all jobs, started when there is work. It has one request at a time.

    More urgent jobs go first; jobs of one class take turns, so that none waits for all of a ten-hour recording.
    """

    def __init__(
        self,
        start: Callable[[], Process],
        deliver: Callable[[Received[VoiceMessage] | Exited[VoiceMessage]], None],
    ) -> None:
        self._start = start
        self._deliver = deliver
        self._parse: Callable[[bytes], VoiceMessage] = parser(VoiceMessage)
        self._encode: Callable[[VoiceRequest], bytes] = encoder(VoiceRequest)
        self._child: Child[VoiceMessage] | None = None
        self._waiting: dict[str, deque[VoiceTask]] = {}
        self._task: VoiceTask | None = None
        self._last_id = 0
        # Monotonic: when the request is late, or the idle child ends.
        self._until = 0.0

    @property
    def at_work(self) -> bool:
        """Whether the child is."""
        return self._task is not None

    def add(self, task: VoiceTask) -> None:
        waiting = self._waiting.setdefault(task.job_id, deque())
        if task.guess:
            waiting.appendleft(task)
        else:
            waiting.append(task)

    def remove_job(self, job_id: str) -> None:
        """Forget what waits for a job. The answer to what is under way is still to come."""
        self._waiting.pop(job_id, None)

    def received(self, news: Received[VoiceMessage] | Exited[VoiceMessage]) -> VoiceOutcome | None:
        """None: nobody waits for it."""
        if news.child is not self._child:
            return None
        if isinstance(news, Exited):
            self._child = None
            failed = VoicesFailed(id=self._last_id, message=f"the process ended with {news.reason}")
            return self._end(failed, killed=news.killed_from_outside)
        return self._end(news.message) if news.message.id == self._last_id else None

    def tick(self) -> VoiceOutcome | None:
        """Give the child its next request, end it when it is idle, and kill it when it hangs: the outcome of that."""
        now = time.monotonic()
        if self._task is None and self._waiting:
            self._send(self._next(), now)
        elif self._child is not None and now > self._until:
            self.close()
            return self._end(VoicesFailed(id=self._last_id, message="finding the voices took too long"))
        return None

    def postpone(self, seconds: float) -> None:
        """This process was stopped for so long: what the child sent meanwhile is still to be read."""
        self._until += seconds

    def close(self) -> None:
        if self._child is not None:
            child, self._child = self._child, None
            child.kill()

    def _next(self) -> VoiceTask:
        order = list(Priority)
        job_id = min(self._waiting, key=lambda one: order.index(self._waiting[one][0].priority))
        tasks = self._waiting.pop(job_id)
        task = tasks.popleft()
        if tasks:
            self._waiting[job_id] = tasks  # behind the others
        return task

    def _send(self, task: VoiceTask, now_s: float) -> None:
        if self._child is None:
            self._child = Child("speakers", self._start(), self._parse, self._deliver)
        self._last_id += 1
        self._task = task
        self._until = now_s + TIMEOUT_S
        self._child.send(self._encode(replace(task.request, id=self._last_id)))

    def _end(self, answer: VoicesFound | SpeakersNamed | VoicesFailed, *, killed: bool = False) -> VoiceOutcome | None:
        task, self._task = self._task, None
        self._until = time.monotonic() + IDLE_S
        return None if task is None else VoiceOutcome(task, answer, killed)
