from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from scrivano.domain.chunk import Chunk, Piece
from scrivano.domain.job import Job, JobOptions, JobStatus, Task
from scrivano.running.language import Detection, Languages
from scrivano.running.open_job import OpenJob, decoding
from scrivano.running.scheduler import WorkItem
from scrivano.store.jobs import StoredChunk
from scrivano.text.assembly import known_segments

JOB = Job(id="a", status=JobStatus.RUNNING, task=Task.TRANSCRIBE, created_at=datetime(2030, 1, 1, tzinfo=UTC))


def text(index: int, version: int = 0) -> list[dict[str, Any]]:
    return [{"text": f"{index}.{part}.{version}"} for part in range(index % 3)]


@given(order=st.permutations(range(8)), fails=st.sets(st.integers(0, 7)))
def test_text_is_told_once_in_order_and_as_stored_whatever_is_decoded_first_and_cannot_be_stored(
    order: list[int], fails: set[int]
) -> None:
    job = OpenJob.begin(JOB, [], {})
    for index in range(8):
        job.add_chunk(Chunk(index, (Piece(index * 100, index * 100 + 100),)))
    told = list[str]()
    for index in order:
        if index in fails:  # the disk is full: what was decoded is decoded again
            shown = job.shown
            job.mark_done(index)
            job.hear(index, text(index, version=1))
            job.mark_undone(index)
            job.shown = shown
        job.mark_done(index)
        told += [segment["text"] for segment in job.hear(index, text(index))]

    assert told == [segment["text"] for index in range(8) for segment in text(index)]


class Decoding:
    """A job and its engine, without a runner: chunks are decoded in any batches, and any process may end in between."""

    def __init__(self, heard: Sequence[Mapping[str, float]], options: Mapping[str, Any]) -> None:
        self.heard = heard
        self.job = replace(JOB, options=options)
        self.rows = [
            StoredChunk(Chunk(index, (Piece(index * 10**5, (index + 1) * 10**5),)), None, 0)
            for index in range(len(heard))
        ]
        self.log: list[tuple[int, str]] = []
        self.told: list[str] = []
        self.begin()

    def begin(self) -> None:
        self.open = OpenJob.begin(self.job, self.rows, {})
        self.waiting: list[WorkItem] = []
        for row in self.rows:
            self.open.add_chunk(row.chunk)
            self.waiting += self.open.hold(WorkItem(JOB.id, row.chunk.index, row.chunk.seconds))

    def plan_ends(self) -> None:
        self.open.chunks_total = len(self.rows)
        if self.open.new_language:
            self.job = replace(self.job, language=self.open.new_language)
        self._tell(self.open.tell())
        if self.open.new_language:
            self.job = replace(self.job, language=self.open.new_language)
        self._go_on()

    def decode(self, count: int, *, full: bool) -> None:
        """`full`: nothing more can be stored."""
        batch = [(item, self._result(item.index)) for item in self.waiting[:count]]
        del self.waiting[:count]
        shown, due, rows, job = self.open.shown, list[dict[str, Any]](), dict[int, bytes](), self.job
        for item, result in batch:
            noted = self.open.note(item, result)
            rows[item.index] = json.dumps(noted).encode()
            job = replace(job, language=self.open.new_language or job.language)
            due += self.open.hear(item.index, known_segments(self.rows[item.index].chunk, noted))
        if full:
            for item, _ in batch:
                self.open.mark_undone(item.index)
            self.open.shown = shown
            self.waiting = [item for item, _ in batch] + self.waiting
            return
        self.job = job
        self.rows = [replace(row, result=rows.get(row.chunk.index, row.result)) for row in self.rows]
        self._tell(due)
        self._go_on()

    def _result(self, index: int) -> dict[str, Any]:
        asked = self.open.ask(index)["language"]
        language = asked or max(self.heard[index], key=self.heard[index].__getitem__)
        found = {"language": language, "language_probability": self.heard[index].get(language, 0.0)}
        text = [] if "fr" in self.heard[index] else [{"start": 0.0, "end": 1.0, "text": f"{index} {language}"}]
        return found | {"language_probabilities": {} if asked else self.heard[index], "segments": text}

    def _tell(self, due: Sequence[Mapping[str, Any]]) -> None:
        self.told += [segment["text"] for segment in due]

    def _go_on(self) -> None:
        self.open.learn_language()
        self.waiting = self.open.due() + self.waiting

    @property
    def languages(self) -> list[str]:
        """In which each chunk's stored text is."""
        return [json.loads(row.result or b"{}")["language"] for row in self.rows]


probabilities = st.sampled_from(
    [{"en": 0.9, "it": 0.1}, {"it": 0.9, "en": 0.1}, {"en": 0.55, "it": 0.45}, {"it": 0.55, "en": 0.45}, {"fr": 0.5}]
)


@given(
    heard=st.lists(probabilities, min_size=1, max_size=7),
    options=st.sampled_from([{}, {"multilingual": True}]),
    steps=st.lists(st.sampled_from(["one", "three", "full", "killed", "last"]), max_size=12),
    data=st.data(),
)
def test_whatever_happens_a_jobs_chunks_end_up_in_the_same_languages(
    heard: list[dict[str, float]], options: dict[str, Any], steps: list[str], data: st.DataObject
) -> None:
    """`fr` stands for noise. The text that is told is the text that is stored."""
    expected = Languages(None, multilingual="multilingual" in options)
    for index, one in enumerate(heard):
        expected.hear(index, Detection(one, 10**5 / 16_000 if "fr" not in one else 0.0))
    expected.settle(len(heard))
    run = Decoding(heard, options)
    for step in steps:
        if step == "killed":
            run.begin()
        elif step == "last":
            run.plan_ends()
        elif run.waiting:
            run.waiting = data.draw(st.permutations(run.waiting))
            run.decode(3 if step == "three" else 1, full=step == "full")
    run.plan_ends()
    while run.waiting:
        run.decode(2, full=False)

    assert run.open.complete
    assert run.languages == [expected.of(index) for index in range(len(heard))]
    assert run.told == [f"{index} {expected.of(index)}" for index, one in enumerate(heard) if "fr" not in one]
    assert run.job.language == (expected.choice and expected.choice.language)


def test_a_job_says_for_itself_what_it_wants_and_leaves_the_rest_to_the_server() -> None:
    defaults = {"beam_size": 5, "word_timestamps": True}

    assert decoding(defaults, JobOptions()) == defaults
    assert decoding(defaults, JobOptions(word_timestamps=False, prompt="Minutes.", temperature=0.6)) == {
        "beam_size": 5,
        "word_timestamps": False,
        "initial_prompt": "Minutes.",
        "temperatures": [0.6, 0.8, 1.0],
    }
