"""A claimed job's state in memory. Pure, and all of it can be found again in the store."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from scrivano.domain.chunk import Chunk
from scrivano.domain.job import Job, JobOptions, Priority
from scrivano.running.language import Choice, Detection, Languages
from scrivano.running.media_process import Preparation
from scrivano.running.scheduler import WorkItem
from scrivano.store.jobs import StoredChunk
from scrivano.text.assembly import known_segments

# At most two progress events a second and job.
PROGRESS_INTERVAL_S = 0.5

# Audio in a well-filled chunk, for an estimate of `chunks_total` until the plan is complete.
ASSUMED_CHUNK_S = 25.0


@dataclass(slots=True)
class OpenJob:
    """`stored`: what earlier attempts left. `began`: when this one did, monotonic.
    `duration`: seconds as the container claims, then as decoded.

    `language`: as the job's row and log have it, while `languages` may know more. `decoding`: `DecodingOptions` as JSON
    values. `chunks_total` is None until the plan is complete.
    `held`: chunks that wait for a language to be known, their own or the job's. `asked`: in which one a chunk is being
    decoded, None where it is to be detected; `spoken`: in which it was. `heard`: the segments of each decoded chunk;
    those of the first `shown` chunks are in the log.
    """

    job: Job
    priority: Priority
    language: str | None
    stored: dict[int, StoredChunk]
    languages: Languages
    decoding: Mapping[str, Any] = field(default_factory=dict)
    preparation: Preparation | None = None
    media_tries: int = 0
    chunks: dict[int, Chunk] = field(default_factory=dict)
    held: dict[int, WorkItem] = field(default_factory=dict)
    asked: dict[int, str | None] = field(default_factory=dict)
    spoken: dict[int, str] = field(default_factory=dict)
    done: set[int] = field(default_factory=set)
    duration: float | None = None
    chunks_total: int | None = None
    began: float = field(default_factory=time.monotonic)
    known_secs: float = 0.0
    done_secs: float = 0.0
    last_progress: float = -math.inf
    heard: dict[int, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    shown: int = 0

    @classmethod
    def begin(cls, job: Job, stored: Iterable[StoredChunk], decoding: Mapping[str, Any]) -> OpenJob:
        """What earlier attempts decoded is heard; as far as no chunk before it lacked, it is in the log, too."""
        languages = Languages(job.language, multilingual=bool(job.decoding.multilingual))
        open_job = cls(
            job, job.priority, job.language, {item.chunk.index: item for item in stored}, languages, decoding
        )
        for item in open_job.stored.values():
            if item.result is not None:
                open_job._recall(item.chunk, json.loads(item.result))
        open_job.tell()
        return open_job

    def _recall(self, chunk: Chunk, result: Mapping[str, Any]) -> None:
        self.heard[chunk.index] = known_segments(chunk, result)
        self.spoken[chunk.index] = result["language"]
        if "detected" in result:
            self.languages.recall(chunk.index, Detection(**result["detected"]), result["language"])

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
        """A chunk's result could not be stored: as if it had never come, or a restart would find other languages."""
        if index in self.done:
            self.done.remove(index)
            self.done_secs -= self.chunks[index].seconds
        for known in (self.heard, self.spoken, self.held):
            known.pop(index, None)
        self.languages.forget(index, self.language)
        self.languages.settle(self.chunks_total)

    def replan(self, index: int) -> None:
        """From this chunk on the audio is cut otherwise than before: what was known of the former chunks is void."""
        for void in [known for known in self.stored if known >= index]:
            del self.stored[void]
            self.spoken.pop(void, None)
            self.languages.forget(void, self.language)

    def hold(self, item: WorkItem) -> list[WorkItem]:
        """A chunk to be decoded, or one that is stored already; returns what may be decoded now."""
        self.held[item.index] = item
        return self.due()

    def due(self) -> list[WorkItem]:
        """Chunks that waited for a language and now know it, in order; some of them were decoded in another one."""
        self._settle()
        voters = self.languages.voters()
        return [self.held.pop(index) for index in sorted(self.held) if self._may_go(index, voters)]

    def _may_go(self, index: int, voters: Sequence[int]) -> bool:
        if self.languages.of(index) is not None:
            return True
        return index not in self.spoken and (self.languages.multilingual or index in voters)

    def ask(self, index: int) -> dict[str, Any]:
        """In which language the engine is to decode a chunk, or among which it is to find it."""
        if self.languages.multilingual and index not in self.spoken:
            self.asked[index] = None
        else:
            self.asked[index] = self.languages.of(index)
        allowed = self.job.decoding.languages
        return {"language": self.asked[index]} | ({"languages": list(allowed)} if allowed else {})

    def note(self, item: WorkItem, result: Mapping[str, Any]) -> dict[str, Any]:
        """What the engine said of a chunk, as it is stored: with what was ever detected in it.

        The chunk counts as done unless its language is not known yet, or another one: `due` has it again then.
        """
        index, noted = item.index, dict(result)
        probabilities = noted.pop("language_probabilities", None) or {noted["language"]: noted["language_probability"]}
        asked = self.asked.pop(index, None)
        if asked is None:
            seconds = self.chunks[index].seconds if noted["segments"] else 0.0
            self.languages.hear(index, Detection(probabilities, seconds))
        self.spoken[index] = noted["language"] = asked or noted["language"]
        if index in self.languages.detections:
            noted["detected"] = asdict(self.languages.detections[index])
        if self.languages.multilingual:
            noted["segments"] = [{**segment, "language": noted["language"]} for segment in noted["segments"]]
        self.held[index] = item
        self._settle()
        return noted

    def _settle(self) -> None:
        self.languages.settle(self.chunks_total)
        for index in [held for held in self.held if held in self.spoken and self._final(held)]:
            self.mark_done(index)
            del self.held[index]

    def _final(self, index: int) -> bool:
        """Whether a decoded chunk was so in its language. One in which nothing was detected had it given."""
        return index not in self.languages.detections or self.spoken.get(index) == self.languages.of(index)

    @property
    def new_language(self) -> str | None:
        """The job's, if its row does not have it yet."""
        return self.languages.choice.language if self.languages.choice and not self.language else None

    def learn_language(self) -> Choice | None:
        """The job's, once, when it has come to be known."""
        if not self.new_language:
            return None
        self.language = self.new_language
        return self.languages.choice

    def hear(self, index: int, segments: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """A chunk's text is known. Returns the data of the `segment` events that are due."""
        self.heard[index] = segments
        return self.tell()

    def tell(self) -> list[dict[str, Any]]:
        """The text up to the first chunk that is not decoded yet, in its language, as far as it was not shown."""
        self._settle()
        due: list[dict[str, Any]] = []
        count = sum(len(self.heard[before]) for before in range(self.shown))
        while self.shown in self.heard and self._final(self.shown):
            due += [{**segment, "index": count + n} for n, segment in enumerate(self.heard[self.shown])]
            count += len(self.heard[self.shown])
            self.shown += 1
        return due

    def progress_due(self, now: float) -> dict[str, int] | None:
        """The data of a progress event, or None while the last one is too fresh."""
        if now - self.last_progress < PROGRESS_INTERVAL_S and not self.complete:
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
            "chunks_total": len(self.chunks) + math.ceil(uncut_secs / ASSUMED_CHUNK_S),
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
