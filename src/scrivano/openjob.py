"""A claimed job's state in memory. Pure, and all of it can be found again in the store."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from scrivano.assembly import known_segments
from scrivano.jobs import Chunk, Job, JobOptions
from scrivano.preparation import Preparation
from scrivano.scheduler import WorkItem
from scrivano.store import StoredChunk

PROGRESS_INTERVAL_SECS = 0.5
"""At most two progress events a second and job."""

ASSUMED_CHUNK_SECS = 25.0
"""Audio in a well-filled chunk, for an estimate of `chunks_total` until the plan is complete."""


@dataclass(slots=True)
class OpenJob:
    """`stored`: what earlier attempts left. `duration`: seconds as the container claims, then as decoded.

    `decoding`: `DecodingOptions` as JSON values. `chunks_total` is None until the plan is complete.
    `held`: chunks that wait for the language to be known. `heard`: the segments of each decoded chunk; those of the
    first `shown` chunks are in the log.
    """

    job: Job
    language: str | None
    stored: dict[int, StoredChunk]
    decoding: Mapping[str, Any] = field(default_factory=dict)
    preparation: Preparation | None = None
    media_tries: int = 0
    chunks: dict[int, Chunk] = field(default_factory=dict)
    held: list[WorkItem] = field(default_factory=list)
    done: set[int] = field(default_factory=set)
    duration: float | None = None
    chunks_total: int | None = None
    known_secs: float = 0.0
    done_secs: float = 0.0
    last_progress: float = -math.inf
    heard: dict[int, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    shown: int = 0

    @classmethod
    def begin(cls, job: Job, stored: Iterable[StoredChunk], decoding: Mapping[str, Any]) -> OpenJob:
        """What earlier attempts decoded is heard; as far as no chunk before it lacked, it is in the log, too."""
        open_job = cls(job, job.language, {item.chunk.index: item for item in stored}, decoding)
        for index, item in open_job.stored.items():
            if item.result is not None:
                open_job.hear(index, known_segments(item.chunk, json.loads(item.result)))
        return open_job

    @property
    def group(self) -> str:
        """Equal for jobs whose chunks may share a batch."""
        return json.dumps(self.decoding, sort_keys=True)

    @property
    def complete(self) -> bool:
        return self.chunks_total is not None and len(self.done) >= self.chunks_total

    def add_chunk(self, chunk: Chunk) -> None:
        self.chunks[chunk.index] = chunk
        self.known_secs += chunk.seconds

    def mark_done(self, index: int) -> None:
        if index not in self.done:
            self.done.add(index)
            self.done_secs += self.chunks[index].seconds

    def mark_undone(self, index: int) -> None:
        if index in self.done:
            self.done.remove(index)
            self.done_secs -= self.chunks[index].seconds
            self.heard.pop(index, None)

    def release(self, item: WorkItem) -> list[WorkItem]:
        """What may be decoded now. Until the first chunk has told the language, the others are held back."""
        if self.language is not None or item.index == 0:
            return [item]
        self.held.append(item)
        return []

    def learn_language(self, language: str) -> list[WorkItem]:
        """The first one counts; returns what was held back for it."""
        if self.language is not None:
            return []
        self.language = language
        released, self.held = self.held, []
        return released

    def hear(self, index: int, segments: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """A chunk's text is known. Returns the data of the `segment` events that are due.

        That is the text up to the first chunk that is not decoded yet, as far as it was not shown.
        """
        self.heard[index] = segments
        due: list[dict[str, Any]] = []
        count = sum(len(self.heard[before]) for before in range(self.shown))
        while self.shown in self.heard:
            due += [{**segment, "index": count + n} for n, segment in enumerate(self.heard[self.shown])]
            count += len(self.heard[self.shown])
            self.shown += 1
        return due

    def progress_due(self, now: float) -> dict[str, int] | None:
        """The data of a progress event, or None while the last one is too fresh."""
        if now - self.last_progress < PROGRESS_INTERVAL_SECS and not self.complete:
            return None
        self.last_progress = now
        return self.progress()

    def progress(self) -> dict[str, int]:
        """Percent by seconds of audio to decode. What is not yet cut is taken for speech: rather less than more."""
        uncut_secs = self._uncut_secs()
        total_secs = self.known_secs + uncut_secs
        return {
            "percent": min(100, int(100 * self.done_secs / total_secs)) if total_secs else 0,
            "chunk": len(self.done),
            "chunks_total": len(self.chunks) + math.ceil(uncut_secs / ASSUMED_CHUNK_SECS),
        }

    def _uncut_secs(self) -> float:
        if self.chunks_total is not None or self.duration is None:
            return 0.0
        last = self.chunks.get(len(self.chunks) - 1)
        return max(0.0, self.duration - (last.end if last else 0.0))


def decoding(defaults: Mapping[str, Any], options: JobOptions) -> dict[str, Any]:
    """`DecodingOptions` as JSON values: the server's, changed by the job's."""
    chosen = {
        "beam_size": options.beam_size,
        "word_timestamps": options.word_timestamps,
        "initial_prompt": options.prompt,
        "hotwords": options.hotwords,
        "temperatures": _ladder(options.temperature),
    }
    return {**defaults, **{name: value for name, value in chosen.items() if value is not None}}


def _ladder(temperature: float | None) -> list[float] | None:
    """From the wished temperature up to 1 in steps of 0.2, as openai-whisper has it; None and 0: all of it."""
    if not temperature:
        return None
    return [round(temperature + 0.2 * step, 3) for step in range(6) if temperature + 0.2 * step <= 1.0 + 1e-6]
