"""Word errors and time errors of every configuration with the bundled model: speed must not cost accuracy."""

from __future__ import annotations

import json
import re
import statistics
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

from benchmarks.figures import Figure, at_most, quantile
from benchmarks.servers import RequestOptions, System, scrivano
from benchmarks.workloads import BATCHED, SEQUENTIAL, Bench, Systems
from scrivano.engines.catalog import NANO_FOLDER

RECORDINGS = Path(__file__).parent.parent / "tests" / "data" / "recordings"

Times = dict[tuple[str, int], float]

# Seconds by which a time error may be larger than another and count as the same: a quarter of Whisper's step.
SLACK = 0.005


@dataclass(frozen=True, slots=True)
class Spoken:
    """A word and its start and end, in seconds."""

    text: str
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Recording:
    """`sentences`: the words of each sentence, in order."""

    path: Path
    language: str
    sentences: tuple[tuple[Spoken, ...], ...]

    @property
    def words(self) -> list[Spoken]:
        return [word for sentence in self.sentences for word in sentence]


@dataclass(slots=True)
class Errors:
    """Of one configuration over all recordings. Seconds, by the recording and the word of the reference that they are
    about, so that two configurations are compared over what both have heard. A segment goes by its first word.
    """

    words: int = 0
    wrong: int = 0
    word_times: Times = field(default_factory=dict)
    segment_times: Times = field(default_factory=dict)

    @property
    def wer(self) -> float:
        """Percent. Normalizer: lower case, punctuation but the apostrophe to spaces."""
        return 100 * self.wrong / max(1, self.words)


def plain(text: str) -> list[str]:
    return re.sub(r"[^\w' ]", " ", text.lower()).split()


def edits(reference: Sequence[str], heard: Sequence[str]) -> int:
    """Levenshtein distance."""
    row = list(range(len(heard) + 1))
    for i, wanted in enumerate(reference):
        diagonal, row[0] = row[0], i + 1
        for j, got in enumerate(heard):
            best = min(row[j + 1] + 1, row[j] + 1, diagonal + (wanted != got))
            diagonal, row[j + 1] = row[j + 1], best
    return row[-1]


def recordings() -> Iterator[Recording]:
    """The bundled recording, and the test recordings with one language."""
    bundled = json.loads((NANO_FOLDER / "recording.json").read_text())
    yield Recording(NANO_FOLDER / "recording.flac", bundled["language"], _sentences(bundled))
    for item in json.loads((RECORDINGS / "recordings.json").read_text()):
        if len({sentence["language"] for sentence in item["sentences"]}) == 1:
            yield Recording(RECORDINGS / item["file"], item["language"], _sentences(item))


def _sentences(item: Mapping[str, Any]) -> tuple[tuple[Spoken, ...], ...]:
    return tuple(tuple(_words(sentence)) for sentence in item["sentences"])


def _words(sentence: Mapping[str, Any]) -> Iterator[Spoken]:
    """Times are given as pairs, or with each word."""
    for text, times in zip(sentence["text"].split(), sentence["words"], strict=True):
        start, end = (times["start"], times["end"]) if isinstance(times, dict) else times
        yield Spoken(" ".join(plain(text)), start, end)


def add(errors: Errors, recording: Recording, segments: Sequence[Mapping[str, Any]]) -> None:
    """Compare with the reference: words by their text, times by the words that both have."""
    reference = [word for word in recording.words if word.text]
    groups = [[word for word in _heard(segment) if word.text] for segment in segments]
    heard = [word for group in groups for word in group]
    errors.words += sum(len(word.text.split()) for word in reference)
    errors.wrong += edits(
        [part for word in reference for part in word.text.split()],
        [part for word in heard for part in word.text.split()],
    )
    twins = _twins(reference, heard)
    name, at = recording.path.name, 0
    errors.word_times |= {(name, i): abs(heard[j].start - reference[i].start) for j, i in twins.items()}
    for segment, group in zip(segments, groups, strict=True):
        if at in twins:
            errors.segment_times[name, twins[at]] = abs(segment["start"] - reference[twins[at]].start)
        at += len(group)


def _twins(reference: Sequence[Spoken], heard: Sequence[Spoken]) -> dict[int, int]:
    """Words that are also in the reference: for each place, the place in the reference."""
    matcher = SequenceMatcher(None, [one.text for one in heard], [one.text for one in reference], autojunk=False)
    return {a + n: b + n for a, b, size in matcher.get_matching_blocks() for n in range(size)}


def _heard(segment: Mapping[str, Any]) -> Iterator[Spoken]:
    for word in segment["words"] or ():
        yield Spoken(" ".join(plain(word.get("text", word.get("word")))), word["start"], word["end"])


def measure(system: System) -> Errors:
    errors = Errors()
    for recording in recordings():
        add(
            errors,
            recording,
            system.transcribe(recording.path, RequestOptions(language=recording.language, words=True)),
        )
    return errors


def accuracy(bench: Bench) -> Iterator[Figure]:
    with ExitStack() as stack:
        systems = Systems(bench.model("nano", 0), stack)
        asked: dict[str, System] = {
            SEQUENTIAL: systems.faster_whisper("sequential"),
            BATCHED: systems.faster_whisper("batched"),
            "Scrivano": systems.scrivano(),
            "Scrivano, ENGINE_MALLOC=default": systems.scrivano(ENGINE_MALLOC="default"),
            "Scrivano, batch of 8": systems.scrivano(BATCH_SIZE="8"),
        }
        if bench.scale.ggml_nano is not None:
            asked["Scrivano, whisper_cpp"] = stack.enter_context(scrivano(bench.scale.ggml_nano))
        found = {name: measure(system) for name, system in asked.items()}
    for name, errors in found.items():
        yield from _figures(name, errors, found[SEQUENTIAL] if name.startswith("Scrivano") else None)


def _figures(name: str, errors: Errors, like: Errors | None) -> Iterator[Figure]:
    """`like`: the configuration that it must not be worse than."""
    yield Figure(
        group="words",
        name=f"WER: {name}",
        value=errors.wer,
        unit="%",
        goal=at_most(round(like.wer, 2)) if like else None,
        detail=f"{errors.wrong} of {errors.words} words; lower case, no punctuation",
    )
    if like is not None:
        yield _times(f"word starts: {name}", errors.word_times, like.word_times)
        yield _times(f"segment starts: {name}", errors.segment_times, like.segment_times)


def _times(name: str, times: Times, others: Times) -> Figure:
    both = sorted(times.keys() & others.keys())
    mine, theirs = [times[one] for one in both], [others[one] for one in both]
    return Figure(
        group="words",
        name=f"median error of {name}",
        value=statistics.median(mine),
        unit="s",
        goal=at_most(round(statistics.median(theirs) + SLACK, 3)),
        detail=f"90 % within {quantile(mine, 0.9):.2f} s, else {quantile(theirs, 0.9):.2f}; {len(both)} that both have",
    )
