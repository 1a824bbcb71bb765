"""How `benchmarks.real` counts words and processor time, with systems that return a given text."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from benchmarks.real import Configuration, RealBench, all_at_once, long_ratios, one_by_one, report, words_and_speed
from benchmarks.servers import RequestOptions
from benchmarks.spoken import SpokenText, Words
from benchmarks.workloads import BATCHED, SEQUENTIAL

SPOKEN = [SpokenText(Path("en.wav"), "en", "good morning all", 20), SpokenText(Path("ru.wav"), "ru", "Добрый день", 10)]


class Parrot:
    """Says the same to every recording. Each request costs this much processor time by its language."""

    def __init__(self, text: str, cpu: dict[str | None, float]) -> None:
        self.languages: list[str | None] = []
        self._text = text
        self._cpu = cpu

    def transcribe(self, path: Path, ask: RequestOptions, /) -> list[dict[str, Any]]:
        self.languages.append(ask.language)
        return [{"text": word} for word in self._text.split()]

    def cpu_seconds(self) -> float:
        return sum(self._cpu[language] for language in self.languages)

    def first_segment(self, path: Path, /) -> None:
        raise NotImplementedError


def configuration(parrot: Parrot) -> Configuration:
    return Configuration(system=parrot, ask=RequestOptions(words=False), pid=os.getpid())


def test_words_and_processor_time_are_counted_by_language(tmp_path: Path) -> None:
    ours = one_by_one("Scrivano", configuration(Parrot("good day", {"en": 2.0, "ru": 3.0})), SPOKEN)
    batched = one_by_one(BATCHED, configuration(Parrot("", {"en": 8.0, "ru": 2.0})), SPOKEN)
    taken = {"Scrivano": ours, BATCHED: batched, SEQUENTIAL: batched}
    bench = RealBench(model=Path("base"), spoken=SPOKEN, out=tmp_path / "out")
    report(bench, "W1", [ours, batched])
    figures = {one.name: one for one in [*words_and_speed("W1", [ours]), *long_ratios(taken)]}

    assert ours.words == {"en": Words(2, 3), "ru": Words(2, 2)}
    assert ours.cpu_by_language == {"en": 0.1, "ru": 0.3}
    assert (ours.audio_s, ours.cpu, ours.speed) == (30, 5, 6)
    assert figures["words wrong: Scrivano"].value == 80
    assert (figures[f"by processor time: Scrivano / {BATCHED}"].value, batched.all_words.percent) == (2, 100)
    russian = figures["processor time for a second of audio: Russian / English"]
    assert russian.value == pytest.approx(3)
    assert russian.verdict == "MISSED"
    assert (tmp_path / "out" / "w1.md").read_text().startswith("## W1: base, 30 s of speech\n")
    assert (tmp_path / "out" / "w1.svg").read_text().count("<circle") == 2
    assert [one["name"] for one in bench.samples["W1"]] == ["Scrivano", BATCHED]


def test_clips_at_once_are_asked_with_or_without_their_language() -> None:
    parrot = Parrot("good morning all", {"en": 1.0, "ru": 1.0, None: 4.0})
    told, together = all_at_once("Scrivano", configuration(parrot), SPOKEN, True)
    detected, _ = all_at_once("Scrivano", configuration(parrot), SPOKEN, False)

    assert sorted(str(one) for one in parrot.languages) == ["None", "None", "en", "ru"]
    assert (told.cpu, detected.cpu, len(together.waits)) == (2, 8, 2)
    assert told.words == {"en": Words(0, 3), "ru": Words(3, 2)}
